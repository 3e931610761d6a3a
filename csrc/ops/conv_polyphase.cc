#include "ops/conv_polyphase.h"

#include <algorithm>
#include <vector>

#include "base/parallel.h"
#include "ops/conv_tiles.h"
#include "ops/plan.h"

namespace striate {
namespace {

constexpr int64_t kSlack = 64;  // elements that kernels may read beyond the last

int64_t phases(const ConvProblem& p) { return p.axis[1].stride * p.axis[2].stride; }

TensorView dense_view(DType dtype, std::initializer_list<int64_t> shape, MemoryFormat format) {
  TensorView view;
  view.dtype = dtype;
  view.rank = static_cast<int>(shape.size());
  std::copy(shape.begin(), shape.end(), view.shape.begin());
  set_dense_strides(view, format);
  return view;
}

}  // namespace

std::string polyphase_decline(const ConvProblem& p) {
  const auto& [d, h, w] = p.axis;
  if (h.stride * w.stride == 1) return "serves strides above 1";
  if (p.g != 1) return "serves one group";
  for (const ConvAxis& a : {h, w}) {
    if (a.dilation != 1) return "serves dilation 1";
    if (a.stride > a.kernel) return concat("a stride of ", a.stride, " leaves out phases of a kernel of ", a.kernel);
  }
  // The strides are smaller than the kernel, so these products are no larger than those that were checked.
  return {};
}

ConvProblem polyphase_inner(const ConvProblem& p) {
  ConvProblem inner = p;
  inner.ic = p.ic * phases(p);
  for (size_t i = 1; i < 3; ++i) {
    ConvAxis& a = inner.axis[i];
    a.kernel = ceil_div(a.kernel, a.stride);
    a.in = a.out + a.kernel - 1;
    a.stride = 1;
    a.pad = a.pad_end = 0;
  }
  inner.workspace = kNoLimit;  // counted by the outer problem's plan
  return inner;
}

template <class T>
Polyphase<T>::Polyphase(const ConvProblem& problem, const conv::Product<T>& mover)
    : p_(problem),
      mover_(mover),
      inner_(polyphase_inner(problem)),
      sh_(problem.axis[1].stride),
      sw_(problem.axis[2].stride),
      pixel_(inner_.ic),
      input_(dense_view(problem.dtype, {inner_.n, inner_.ic, inner_.axis[0].in, inner_.axis[1].in, inner_.axis[2].in},
                        MemoryFormat::channels_last)),
      weight_(dense_view(problem.dtype,
                         {inner_.oc, inner_.ic, inner_.axis[0].kernel, inner_.axis[1].kernel, inner_.axis[2].kernel},
                         MemoryFormat::channels_last)),
      input_memory_(input_.size() + kSlack) {
  std::fill_n(input_memory_.get() + input_.size(), kSlack, T(0));
  input_.data = input_memory_.get();
  input_.slack = kSlack;
}

// Calls visit(row, line), on all threads; `line` is scratch for a row of the outer image, channels last.
template <class T>
template <class Visit>
void Polyphase<T>::for_each_row(int64_t heights, Visit visit) const {
  const int64_t depths = p_.axis[0].in, tasks = p_.n * depths * heights;
  const int workers = workers_for(tasks, static_cast<double>(input_.size()));
  std::vector<Scratch<T>> lines;
  for (int i = 0; i < workers; ++i) lines.emplace_back(p_.axis[2].in * p_.ic);
  parallel_for(tasks, workers, FpMode::exact, [&](int64_t task, int worker) {
    visit(Row{task / heights / depths, task / heights % depths, task % heights},
          lines[static_cast<size_t>(worker)].get());
  });
}

template <class T>
void Polyphase<T>::split_input(const TensorView& x) const {
  const auto& s = x.stride;
  const int64_t width = p_.axis[2].in, pad = p_.axis[2].pad, channels = p_.ic, run = sw_ * channels;
  const bool in_place = s[kC] == 1 && s[kW] == channels;
  for_each_row(inner_.axis[1].in, [&](const Row& row, T* scratch) {
    T* to = input_.as<T>() + row.image * input_.stride[kN] + row.depth * input_.stride[kD] +
            row.height * input_.stride[kH];
    for (int64_t phase = 0; phase < sh_; ++phase, to += run) {
      const int64_t height = row.height * sh_ + phase - p_.axis[1].pad;
      const bool outside = height < 0 || height >= p_.axis[1].in;
      const T* line = x.as<T>() + row.image * s[kN] + row.depth * s[kD] + height * s[kH];
      if (!in_place && !outside) {
        mover_.move({.from = line,
                     .from_row = s[kC],
                     .from_column = s[kW],
                     .rows = static_cast<int>(channels),
                     .columns = static_cast<int>(width),
                     .to = scratch,
                     .to_row = 1,
                     .to_column = channels});
        line = scratch;
      }
      // Elements of the line that pixel q sees: [q * run - pad * channels, + run), as far as they exist.
      T* pixel = to;
      for (int64_t q = 0; q < inner_.axis[2].in; ++q, pixel += pixel_) {
        const int64_t first = q * run - pad * channels;
        const int64_t begin = outside ? run : std::clamp<int64_t>(-first, 0, run);
        const int64_t end = outside ? run : std::clamp<int64_t>(width * channels - first, begin, run);
        for (int64_t i = 0; i < begin; ++i) pixel[i] = T(0);
        for (int64_t i = begin; i < end; ++i) pixel[i] = line[first + i];
        for (int64_t i = end; i < run; ++i) pixel[i] = T(0);
      }
    }
  });
}

template <class T>
void Polyphase<T>::join_input(const TensorView& dx, const T* bias) const {
  const auto& s = dx.stride;
  const int64_t width = p_.axis[2].in, pad = p_.axis[2].pad, channels = p_.ic, run = sw_ * channels;
  const bool in_place = s[kC] == 1 && s[kW] == channels;
  for_each_row(p_.axis[1].in, [&](const Row& row, T* scratch) {
    T* out = dx.as<T>() + row.image * s[kN] + row.depth * s[kD] + row.height * s[kH];
    T* line = in_place ? out : scratch;
    const int64_t height = row.height + p_.axis[1].pad;
    const bool read = height / sh_ < inner_.axis[1].in;
    const T* from = input_.as<T>() + row.image * input_.stride[kN] + row.depth * input_.stride[kD] +
                    height / sh_ * input_.stride[kH] + height % sh_ * run;
    const int64_t length = width * channels;
    int64_t done = 0;
    for (int64_t q = pad / sw_; read && q < inner_.axis[2].in && done < length; ++q) {
      const int64_t first = q * run - pad * channels;
      const int64_t end = std::min(run, length - first);
      const T* pixel = from + q * pixel_ - first;
      for (; done < first + end; ++done) line[done] = pixel[done];
    }
    for (int64_t c = 0; done < length; ++done, c = c + 1 == channels ? 0 : c + 1)
      line[done] = bias ? bias[c] : T(0);  // whole pixels: `done` is at channel 0
    if (!in_place)
      mover_.move({.from = line,
                   .from_row = channels,
                   .from_column = 1,
                   .rows = static_cast<int>(width),
                   .columns = static_cast<int>(channels),
                   .to = out,
                   .to_row = s[kW],
                   .to_column = s[kC]});
  });
}

// Calls visit(inner element, outer element or null) for all taps, on all threads.
template <class T>
template <class Visit>
void Polyphase<T>::for_each_tap(const TensorView& w, T* inner, Visit visit) const {
  const auto& s = w.stride;
  const auto& [d, h, v] = inner_.axis;
  parallel_for(p_.oc, workers_for(p_.oc, static_cast<double>(weight_.size())), FpMode::exact,
               [&](int64_t o, int) {
    T* to = inner + o * weight_.stride[kN];
    for (int64_t kd = 0; kd < d.kernel; ++kd)
      for (int64_t kh = 0; kh < h.kernel; ++kh)
        for (int64_t kw = 0; kw < v.kernel; ++kw)
          for (int64_t ph = kh * sh_; ph < (kh + 1) * sh_; ++ph)
            for (int64_t pw = kw * sw_; pw < (kw + 1) * sw_; ++pw) {
              T* tap = w.as<T>() + o * s[kN] + kd * s[kD] + ph * s[kH] + pw * s[kW];
              const bool exists = ph < p_.axis[1].kernel && pw < p_.axis[2].kernel;
              for (int64_t c = 0; c < p_.ic; ++c) visit(*to++, exists ? tap + c * s[kC] : nullptr);
            }
  });
}

template <class T>
PackedWeights* Polyphase<T>::split_weight(const TensorView& w, PackedWeights* packed) {
  PackedWeights::Key key;
  if (packed) {
    key = {static_cast<int64_t>(WeightForm::phases), size_of(p_.dtype), p_.ic, p_.oc, sh_, sw_,
           static_cast<int64_t>(reinterpret_cast<intptr_t>(w.data))};
    for (const ConvAxis& a : p_.axis) key.push_back(a.kernel);
    key.insert(key.end(), w.stride.begin(), w.stride.begin() + w.rank);
  }
  split_ = striate::packed<T>(packed, key, weight_.size() + kSlack, [&](T* to) {
    for_each_tap(w, to, [](T& inner, const T* outer) { inner = outer ? *outer : T(0); });
  });
  weight_.data = const_cast<T*>(split_.get());
  return split_.forms();
}

template <class T>
const TensorView& Polyphase<T>::weight_grad() {
  weight_grad_memory_ = Scratch<T>(weight_.size() + kSlack);
  weight_.data = weight_grad_memory_.get();
  return weight_;
}

template <class T>
std::vector<T> Polyphase<T>::repeat(const T* values) const {
  std::vector<T> repeated;
  for (int64_t phase = 0; values && phase < sh_ * sw_; ++phase)
    repeated.insert(repeated.end(), values, values + p_.ic);
  return repeated;
}

template <class T>
void Polyphase<T>::join_weight(const TensorView& dw) const {
  for_each_tap(dw, weight_.as<T>(), [](const T& inner, T* outer) {
    if (outer) *outer = inner;
  });
}

template class Polyphase<float>;
template class Polyphase<double>;

}  // namespace striate
