// The sparse matrix (output size x input size) that resamples one axis, by rows: row o reads the elements
// index[begin[o]], ..., index[begin[o + 1] - 1]. Built in float64. Weights of zero are left out: an infinite
// element must not leak through them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "ops/resample.h"

namespace striate {

template <class T>
struct SparseMatrix {
  int64_t in = 0, out = 0;
  std::vector<int32_t> begin, index;
  std::vector<T> weight;

  int64_t most_taps() const {
    int64_t most = 0;
    for (size_t o = 0; o + 1 < begin.size(); ++o) most = std::max<int64_t>(most, begin[o + 1] - begin[o]);
    return most;
  }
};

/// `axis` of the problem, as its mode says.
template <class T>
SparseMatrix<T> resample_matrix(const ResampleProblem& problem, const ResampleAxis& axis);

template <class T>
SparseMatrix<T> transpose(const SparseMatrix<T>& matrix);

}  // namespace striate
