// Working memory of one call: aligned to a cache line, recycled by the buffer pool, freed at scope end.
// Allocate before the parallel region (a failure is std::bad_alloc, raised where raising is safe).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/buffer_pool.h"

namespace striate {

/// The most scratch bytes that the process held at once between start and stop: for tests, so it costs one look
/// at a flag while it does not run.
class ScratchMeter {
 public:
  static void start() {
    now_ = peak_ = 0;
    running_ = true;
  }
  static int64_t stop() {
    running_ = false;
    return peak_;
  }
  static void add(int64_t bytes) {
    if (!running_.load(std::memory_order_relaxed)) return;
    const int64_t now = now_ += bytes;
    for (int64_t peak = peak_; peak < now && !peak_.compare_exchange_weak(peak, now);) {
    }
  }

 private:
  inline static std::atomic<bool> running_{false};
  inline static std::atomic<int64_t> now_{0}, peak_{0};
};

template <class T>
class Scratch {
 public:
  Scratch() = default;
  explicit Scratch(int64_t count)
      : bytes_(static_cast<size_t>(count) * sizeof(T)),
        data_(static_cast<T*>(BufferPool::instance().acquire(bytes_))) {
    ScratchMeter::add(static_cast<int64_t>(bytes_));
  }
  ~Scratch() { release(); }
  Scratch(Scratch&& other) noexcept { swap(other); }
  Scratch& operator=(Scratch&& other) noexcept {
    swap(other);
    return *this;
  }
  T* get() const { return data_; }

 private:
  void swap(Scratch& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(data_, other.data_);
  }
  void release() {
    if (!data_) return;
    ScratchMeter::add(-static_cast<int64_t>(bytes_));
    BufferPool::instance().release(data_, bytes_);
  }
  size_t bytes_ = 0;
  T* data_ = nullptr;
};

/// Elements rounded up to whole cache lines, plus one line: neighbours never share a line, and
/// power-of-two sizes do not fall on the same cache sets.
template <class T>
constexpr int64_t padded_count(int64_t count) {
  constexpr int64_t line = 64 / sizeof(T);
  return (count + line - 1) / line * line + line;
}

}  // namespace striate
