// Weights in the forms that kernels read: packed into lane blocks, transformed, split into phases.
//
// A driver packs on every call, into memory of that call. A caller who knows that the values stay as they are hands
// in a PackedWeights, which belongs to one array; then the form stays there for the next call to find:
//
//   const Packed<T> form = packed<T>(store, key, count, [&](T* to) { ... });   // kept, or made for this call
//   const Packed<T> form = kept<T>(store, key, count, [&](T* to) { ... });     // kept, or nothing
//
// A key holds all that packing reads, but for the values: which kernel, where the weights lie, how the form is cut.
// So one form is never taken for another. That the values are still the same is not known here: whoever changes
// them throws the PackedWeights away (python/striate/nn/parameter.py; docs/adr/0008-packed-weights.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/scratch.h"
#include "base/set_cache.h"

namespace striate {

/// The last used forms of one array. Many threads may use it; nobody waits, and a form that another thread has
/// pushed out lives until its last user is done.
class PackedWeights {
 public:
  using Key = std::vector<int64_t>;
  struct Form;

  static constexpr size_t kMostForms = 4;

  std::shared_ptr<Form> find(const Key& key);  // null: it is not here
  void keep(const std::shared_ptr<Form>& form);
  /// Room for a form; null where that would pass the limit of the process.
  static std::shared_ptr<Form> reserve(Key key, int64_t bytes);

  /// What is kept, forms of forms included.
  struct Size {
    int64_t forms = 0, bytes = 0;
  };
  Size size();

 private:
  SetCache<Key, std::shared_ptr<Form>, 1, kMostForms> forms_;
};

struct PackedWeights::Form {
  Form(Key name, int64_t count);
  ~Form();
  Form(const Form&) = delete;
  Form& operator=(const Form&) = delete;

  const Key key;
  const int64_t bytes;
  const Scratch<std::byte> memory;
  PackedWeights forms;  // made from this one
};

/// Bytes that all forms of the process may take, and do. Forms that are there already stay.
int64_t packed_weights_limit();
void set_packed_weights_limit(int64_t bytes);  // ValueError if negative; 0: keep none
PackedWeights::Size packed_weights_size();

/// A form, for as long as this lives.
template <class T>
class Packed {
 public:
  Packed() = default;
  explicit Packed(std::shared_ptr<PackedWeights::Form> form) : form_(std::move(form)) {}
  explicit Packed(Scratch<T> memory) : memory_(std::move(memory)) {}

  explicit operator bool() const { return get(); }
  const T* get() const {
    return form_ ? reinterpret_cast<const T*>(form_->memory.get()) : memory_.get();
  }
  /// For forms of this form; null where it lives for one call only.
  PackedWeights* forms() const { return form_ ? &form_->forms : nullptr; }

 private:
  std::shared_ptr<PackedWeights::Form> form_;
  Scratch<T> memory_;
};

template <class T, class Fill>
Packed<T> kept(PackedWeights* store, const PackedWeights::Key& key, int64_t count, Fill fill) {
  if (!store) return {};
  if (auto form = store->find(key)) return Packed<T>(std::move(form));
  auto form = PackedWeights::reserve(key, count * static_cast<int64_t>(sizeof(T)));
  if (!form) return {};
  fill(reinterpret_cast<T*>(form->memory.get()));
  store->keep(form);
  return Packed<T>(std::move(form));
}

template <class T, class Fill>
Packed<T> packed(PackedWeights* store, const PackedWeights::Key& key, int64_t count, Fill fill) {
  if (Packed<T> form = kept<T>(store, key, count, fill)) return form;
  Scratch<T> memory(count);
  fill(memory.get());
  return Packed<T>(std::move(memory));
}

}  // namespace striate
