// A bounded, thread-safe pool of big buffers. Fresh memory is slower than most kernels (the kernel zeroes
// every page on first touch), so results and scratch of past calls are kept for the next ones. Of small buffers
// each thread keeps the last few that it freed, for itself: calls of microseconds ask nobody.
//
//   acquire(bytes): a kept buffer of the same size class, else a new one, 64-byte aligned
//   release(ptr, bytes): kept while the total stays under the limit, else freed
//
// Size classes are powers of two in quarters, so at most a quarter of a buffer is unused.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

namespace striate {

class BufferPool {
 public:
  struct Stats {
    size_t limit, held_bytes, held_buffers, hits, misses;
  };

  /// Smaller buffers are the threads' own: neither limited nor counted.
  static constexpr size_t kSmallest = 64 * 1024;

  static BufferPool& instance();

  void* acquire(size_t bytes);  // std::bad_alloc
  void release(void* data, size_t bytes) noexcept;
  void set_limit(size_t bytes);  // 0 switches the pool off, also for small buffers
  void clear() noexcept;
  Stats stats() const;

 private:
  BufferPool();
  void trim_to(size_t bytes) noexcept;

  mutable std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;  // by size class
  std::atomic<size_t> limit_;
  size_t held_ = 0, hits_ = 0, misses_ = 0;
};

}  // namespace striate
