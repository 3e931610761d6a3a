// A small bounded cache that many threads may use: `Sets` sets of `Ways` entries; a key belongs to one set, where
// it replaces the least recently used entry. No allocation.
//
//   find(key): the value, or nothing          insert(key, value)
//
// Nobody waits: where another thread is just inside, find finds nothing and insert does nothing. So it is
// for values that can be computed anew, and a child forked from a thread inside merely computes them always.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

namespace striate {

template <class Key, class Value, size_t Sets, size_t Ways>
class SetCache {
 public:
  struct Stats {
    int64_t capacity, held, hits, misses;
  };

  /// `hash` of the key; equal keys have equal ones.
  std::optional<Value> find(const Key& key, uint64_t hash) {
    const Door door(busy_);
    if (!door.open) return std::nullopt;
    for (Entry& entry : sets_[hash % Sets])
      if (entry.used && entry.key == key) {
        entry.used = ++clock_;
        ++hits_;
        return entry.value;
      }
    ++misses_;
    return std::nullopt;
  }

  void insert(const Key& key, uint64_t hash, const Value& value) {
    const Door door(busy_);
    if (!door.open) return;
    Entry* oldest = nullptr;
    for (Entry& entry : sets_[hash % Sets]) {
      if (entry.used && entry.key == key) return;
      if (!oldest || entry.used < oldest->used) oldest = &entry;
    }
    *oldest = {key, value, ++clock_};
  }

  void clear() {
    const Door door(busy_);
    if (!door.open) return;
    for (auto& set : sets_) set.fill({});
    hits_ = misses_ = 0;
  }

  /// Calls visit(value) for all that is held.
  template <class Visit>
  void visit(Visit visit) {
    const Door door(busy_);
    if (!door.open) return;
    for (const auto& set : sets_)
      for (const Entry& entry : set)
        if (entry.used) visit(entry.value);
  }

  Stats stats() {
    Stats result{static_cast<int64_t>(Sets * Ways), 0, 0, 0};
    const Door door(busy_);
    if (!door.open) return result;
    for (const auto& set : sets_)
      for (const Entry& entry : set) result.held += entry.used > 0;
    result.hits = hits_;
    result.misses = misses_;
    return result;
  }

 private:
  struct Entry {
    Key key{};
    Value value{};
    uint64_t used = 0;  // when; 0: empty
  };
  struct Door {
    explicit Door(std::atomic_flag& flag) : busy(flag), open(!flag.test_and_set(std::memory_order_acquire)) {}
    ~Door() {
      if (open) busy.clear(std::memory_order_release);
    }
    Door(const Door&) = delete;
    Door& operator=(const Door&) = delete;
    std::atomic_flag& busy;
    bool open;
  };

  std::array<std::array<Entry, Ways>, Sets> sets_{};
  std::atomic_flag busy_;
  uint64_t clock_ = 0;
  int64_t hits_ = 0, misses_ = 0;
};

}  // namespace striate
