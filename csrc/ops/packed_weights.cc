#include "ops/packed_weights.h"

#include <atomic>

#include "base/error.h"

namespace striate {
namespace {

std::atomic<int64_t> limit{int64_t{1} << 30};
std::atomic<int64_t> held_bytes{0}, held_forms{0};

}  // namespace

PackedWeights::Form::Form(Key name, int64_t count) : key(std::move(name)), bytes(count), memory(count) {
  held_forms.fetch_add(1, std::memory_order_relaxed);
}

PackedWeights::Form::~Form() {
  held_forms.fetch_sub(1, std::memory_order_relaxed);
  held_bytes.fetch_sub(bytes, std::memory_order_relaxed);
}

std::shared_ptr<PackedWeights::Form> PackedWeights::find(const Key& key) {
  return forms_.find(key, 0).value_or(nullptr);
}

void PackedWeights::keep(const std::shared_ptr<Form>& form) { forms_.insert(form->key, 0, form); }

std::shared_ptr<PackedWeights::Form> PackedWeights::reserve(Key key, int64_t bytes) {
  if (held_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes <= packed_weights_limit()) {
    try {
      return std::make_shared<Form>(std::move(key), bytes);
    } catch (...) {
      held_bytes.fetch_sub(bytes, std::memory_order_relaxed);
      throw;
    }
  }
  held_bytes.fetch_sub(bytes, std::memory_order_relaxed);
  return nullptr;
}

PackedWeights::Size PackedWeights::size() {
  Size total;
  forms_.visit([&](const std::shared_ptr<Form>& form) {
    const Size inner = form->forms.size();
    total.forms += 1 + inner.forms;
    total.bytes += form->bytes + inner.bytes;
  });
  return total;
}

int64_t packed_weights_limit() { return limit.load(std::memory_order_relaxed); }

void set_packed_weights_limit(int64_t bytes) {
  if (bytes < 0) fail_value("set_packed_weights_limit: bytes must not be negative, got ", bytes);
  limit.store(bytes, std::memory_order_relaxed);
}

PackedWeights::Size packed_weights_size() {
  return {held_forms.load(std::memory_order_relaxed), held_bytes.load(std::memory_order_relaxed)};
}

}  // namespace striate
