// parallel_for for passes over memory that a cache may still hold. Each worker has a share of the tasks, a
// piece of the walk, and begins there every time, so what it touched in the last pass lies in its own L2;
// when its share is done it helps with the others'.
//
//     tasks        0 1 2 3 4 5 6 7        first pass and second alike:
//     worker 0     0 1 2 3 > 7            its half, then what is left
//     worker 1     4 5 6
//
// Measured on two cores with 2 MiB of L2 each: an addition of three arrays of 0.8 MB takes 1.5 times as long
// where tasks go to whoever comes first.
//
// A second pass over what the first has just read goes backwards: the end of each share is what its caches hold.
//
//     forwards     0 1 2 3 4 5 6 7        cached at the end:      2 3     6 7
//     backwards    3 2 1 0 | 7 6 5 4      and, for who comes next:  0 1     4 5
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/parallel.h"
#include "base/strided_loop.h"

namespace striate {

enum class Walk : uint8_t { forwards, backwards };

inline void parallel_near(int64_t tasks, int workers, FpMode mode, Walk walk,
                          FunctionRef<void(int64_t, int)> body) {
  if (workers <= 1)
    return parallel_for(tasks, 1, mode, [&](int64_t task, int worker) {
      body(walk == Walk::forwards ? task : tasks - 1 - task, worker);
    });
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t begin = 0, end = 0;
  };
  std::vector<Share> shares(static_cast<size_t>(workers));
  for (int w = 0; w < workers; ++w) {
    Share& share = shares[static_cast<size_t>(w)];
    share.next = share.begin = tasks * w / workers;
    share.end = tasks * (w + 1) / workers;
  }
  parallel_for(workers, workers, mode, [&](int64_t, int worker) {
    for (int k = 0; k < workers; ++k) {
      Share& share = shares[static_cast<size_t>((worker + k) % workers)];
      for (int64_t task = share.next++; task < share.end; task = share.next++)
        body(walk == Walk::forwards ? task : share.begin + share.end - 1 - task, worker);
    }
  });
}

/// As parallel_runs in strided_loop.h.
template <size_t N, class Body>
void parallel_runs_near(const StridedLoop<N>& loop, int64_t grain, double work, FpMode mode, Walk walk,
                        Body body) {
  if (loop.size() == 0) return;
  const int64_t pieces = std::max<int64_t>(1, loop.size() / grain);
  const int64_t piece = (loop.size() + pieces - 1) / pieces;
  parallel_near(pieces, workers_for(pieces, work), mode, walk, [&](int64_t task, int) {
    loop.for_each_run(std::min(loop.size(), task * piece), std::min(loop.size(), (task + 1) * piece), body);
  });
}

}  // namespace striate
