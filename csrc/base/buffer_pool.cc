#include "base/buffer_pool.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "base/error.h"

namespace striate {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = 2 * 1024 * 1024;
constexpr size_t kDefaultLimit = size_t{512} * 1024 * 1024;

size_t size_class(size_t bytes) {
  const size_t step = std::bit_ceil(bytes) / 8;  // four to eight classes an octave
  return (bytes + step - 1) / step * step;
}

void* allocate(size_t bytes) {
  const size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  if (rounded < bytes) throw std::bad_alloc();
  void* data = std::aligned_alloc(alignment, rounded);
  if (!data) throw std::bad_alloc();
  // Fewer TLB misses in the big packed buffers; a wish that the system may ignore.
  if (bytes >= kHugePage) (void)madvise(data, rounded, MADV_HUGEPAGE);
  return data;
}

// Small buffers that this thread freed. malloc would join them and part them again, at the cost of a small convolution.
class SmallBuffers {
 public:
  ~SmallBuffers();
  void* take(size_t bytes) {  // null: there is none
    for (size_t i = count_; i-- > 0;) {
      if (kept_[i].bytes != bytes) continue;
      void* data = kept_[i].data;
      kept_[i] = kept_[--count_];
      return data;
    }
    return nullptr;
  }
  void keep(void* data, size_t bytes) {  // in place of another one, once there are many
    if (count_ < kMost) {
      kept_[count_++] = {data, bytes};
      return;
    }
    next_ = (next_ + 1) % kMost;
    std::free(kept_[next_].data);
    kept_[next_] = {data, bytes};
  }

 private:
  static constexpr size_t kMost = 16;
  struct Buffer {
    void* data;
    size_t bytes;
  };
  Buffer kept_[kMost];
  size_t count_ = 0, next_ = 0;
};

thread_local bool small_buffers_gone = false;  // arrays may be freed later than the thread's own objects
thread_local SmallBuffers small_buffers;

SmallBuffers::~SmallBuffers() {
  small_buffers_gone = true;
  while (count_ > 0) std::free(kept_[--count_].data);
}

size_t limit_from_environment() {
  const char* text = std::getenv("STRIATE_BUFFER_POOL_MB");
  if (!text || !*text) return kDefaultLimit;
  char* end = nullptr;
  errno = 0;
  const long value = std::strtol(text, &end, 10);
  if (end == text || *end != '\0' || errno != 0 || value < 0 || value > (1L << 30))
    fail_value("STRIATE_BUFFER_POOL_MB: must be a whole number of MiB, 0 for no pool, got '", text, "'");
  return static_cast<size_t>(value) << 20;
}

}  // namespace

BufferPool::BufferPool() : limit_(limit_from_environment()) {}

BufferPool& BufferPool::instance() {
  // Never destroyed: arrays may outlive every static of this library.
  static BufferPool* pool = [] {
    auto* made = new BufferPool;
    // A child forked while another thread held the lock must not find it locked.
    pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                   [] { instance().mutex_.unlock(); });
    return made;
  }();
  return *pool;
}

void* BufferPool::acquire(size_t bytes) {
  const size_t rounded = size_class(std::max(bytes, kAlignment));
  if (bytes < kSmallest) {
    void* kept = small_buffers_gone ? nullptr : small_buffers.take(rounded);
    return kept ? kept : allocate(rounded);
  }
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = free_.find(rounded); found != free_.end() && !found->second.empty()) {
      void* data = found->second.back();
      found->second.pop_back();
      if (found->second.empty()) free_.erase(found);
      held_ -= rounded;
      ++hits_;
      return data;
    }
    ++misses_;
  }
  return allocate(rounded);
}

void BufferPool::release(void* data, size_t bytes) noexcept {
  const size_t rounded = size_class(std::max(bytes, kAlignment));
  if (bytes < kSmallest) {
    if (limit_.load(std::memory_order_relaxed) > 0 && !small_buffers_gone) return small_buffers.keep(data, rounded);
  } else {
    try {
      const std::lock_guard lock(mutex_);
      if (rounded <= limit_) {
        trim_to(limit_ - rounded);
        free_[rounded].push_back(data);
        held_ += rounded;
        return;
      }
    } catch (...) {
      // No memory to remember the buffer: give it back to the system instead.
    }
  }
  std::free(data);
}

// Drops the largest buffers first: varying shapes must not make memory grow. Called with the lock held.
void BufferPool::trim_to(size_t bytes) noexcept {
  while (held_ > bytes && !free_.empty()) {
    const auto largest = std::prev(free_.end());
    std::free(largest->second.back());
    largest->second.pop_back();
    held_ -= largest->first;
    if (largest->second.empty()) free_.erase(largest);
  }
}

void BufferPool::set_limit(size_t bytes) {
  const std::lock_guard lock(mutex_);
  limit_ = bytes;
  trim_to(limit_);
}

void BufferPool::clear() noexcept {
  const std::lock_guard lock(mutex_);
  trim_to(0);
}

BufferPool::Stats BufferPool::stats() const {
  const std::lock_guard lock(mutex_);
  size_t buffers = 0;
  for (const auto& [size, kept] : free_) buffers += kept.size();
  return {limit_, held_, buffers, hits_, misses_};
}

}  // namespace striate
