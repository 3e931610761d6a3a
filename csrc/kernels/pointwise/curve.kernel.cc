#include "kernels/pointwise/curve.h"

#include "kernels/pointwise/run.h"
#include "simd/math.h"
#include "simd/normal.h"

namespace striate::STRIATE_ISA {
namespace {

using pointwise::CurveArgs;

// Where a factor goes to 0 faster than x grows, x ends here; nothing is left of the product long before.
constexpr int kFar = 1000;

template <class T>
STRIATE_INLINE native<T> at_least(native<T> x, T low) {
  return x < low ? broadcast<native<T>>(low) : x;  // a NaN stays
}
template <class T>
STRIATE_INLINE native<T> at_most(native<T> x, T high) {
  return x > high ? broadcast<native<T>>(high) : x;
}
template <class T>
STRIATE_INLINE native<T> within(native<T> x, T low, T high) {
  return at_most<T>(at_least<T>(x, low), high);
}

// ---- straight lines -------------------------------------------------------------------------------------

struct Clip {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, const CurveArgs<T>& args) {
    return within<T>(x, args.first, args.second);
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> x, native<T> g, const CurveArgs<T>& args) {
    g = x <= args.first ? native<T>{} : g;
    return x >= args.second ? native<T>{} : g;
  }
};

struct HardSigmoid {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, const CurveArgs<T>&) {
    return within<T>(x + 3, 0, 6) / 6;
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> x, native<T> g, const CurveArgs<T>&) {
    return absolute<T>(x) < 3 ? g / 6 : native<T>{};
  }
};

struct HardSwish {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, const CurveArgs<T>&) {
    return x <= -3 ? native<T>{} : x * (at_most<T>(x + 3, 6) / 6);
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> x, native<T> g, const CurveArgs<T>&) {
    const native<T> inside = x < 3 ? g * (x / 3 + T(0.5)) : g;
    return x <= -3 ? native<T>{} : inside;
  }
};

// ---- exponentials ---------------------------------------------------------------------------------------

struct Elu {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, const CurveArgs<T>& args) {
    const Reduced<T> e = reduce_exp<T>(at_least<T>(x, -float_format<T>::tanh_high));
    const native<T> scale = power_of_two<T>(e.k);
    const native<T> below = scale * e.tail + (scale - 1);  // exp(x) - 1 without cancellation
    return x > 0 ? args.second * x : args.first * below;
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> x, native<T> g, const CurveArgs<T>& args) {
    return g * (x > 0 ? broadcast<native<T>>(args.second) : args.first * exp<T>(x));
  }
};

/// log(1 + e) for e in [0, 1], with the relative accuracy of e: 2 artanh(e / (2 + e)) by its series.
template <class T>
STRIATE_INLINE native<T> log_one_plus(native<T> e) {
  constexpr int terms = sizeof(T) == 4 ? 7 : 16;  // the first left out is 9^-8 / 17, or 9^-17 / 35
  const native<T> s = e / (2 + e);
  const native<T> z = s * s;
  native<T> series = broadcast<native<T>>(T(1) / (2 * terms + 1));
#pragma GCC unroll 16
  for (int i = terms - 1; i >= 1; --i) series = series * z + T(1) / (2 * i + 1);
  return 2 * (s + s * (z * series));
}

struct Softplus {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, const CurveArgs<T>& args) {
    const native<T> scaled = x * args.first;
    const native<T> curved = at_least<T>(scaled, 0) + log_one_plus<T>(exp<T>(-absolute<T>(scaled)));
    return scaled > args.second ? x : curved / args.first;
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> x, native<T> g, const CurveArgs<T>& args) {
    const native<T> scaled = x * args.first;
    return scaled > args.second ? g : g * sigmoid<T>(scaled);
  }
};

struct LogSigmoid {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, const CurveArgs<T>&) {
    return at_most<T>(x, 0) - log_one_plus<T>(exp<T>(-absolute<T>(x)));
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> x, native<T> g, const CurveArgs<T>&) {
    return g * sigmoid<T>(-x);
  }
};

/// sigmoid(x) and sigmoid(-x), neither by subtraction from 1.
template <class T>
struct Odds {
  native<T> yes, no;
};
template <class T>
STRIATE_INLINE Odds<T> odds(native<T> x) {
  const native<T> e = exp<T>(-absolute<T>(x));
  const native<T> more = 1 / (1 + e), less = e * more;
  return {x < 0 ? less : more, x < 0 ? more : less};
}

struct Silu {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, const CurveArgs<T>&) {
    x = at_least<T>(x, -kFar);
    return x * sigmoid<T>(x);
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> x, native<T> g, const CurveArgs<T>&) {
    x = within<T>(x, -kFar, kFar);
    const Odds<T> s = odds<T>(x);
    return g * (s.yes * (1 + x * s.no));
  }
};

struct Mish {
  // tanh(log(1 + e)) = n / (n + 2) with n = e (e + 2); it is 1 where x reaches `top`.
  template <class T>
  static constexpr T top = sizeof(T) == 4 ? T(20) : T(40);

  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, const CurveArgs<T>&) {
    x = at_least<T>(x, -kFar);
    const native<T> e = exp<T>(at_most<T>(x, top<T>));
    const native<T> n = e * (e + 2);
    return x * (n / (n + 2));
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> x, native<T> g, const CurveArgs<T>&) {
    x = within<T>(x, -kFar, top<T>);
    const native<T> e = exp<T>(x);
    const native<T> n = e * (e + 2);
    const native<T> inverse = 1 / (n + 2);
    return g * (n * inverse + x * (4 * e * (e + 1)) * (inverse * inverse));
  }
};

// ---- the normal distribution ----------------------------------------------------------------------------

struct Gelu {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, const CurveArgs<T>&) {
    const Tail<T> tail = normal_tail<T>(absolute<T>(x));
    return at_least<T>(x, 0) - tail.a * tail.beyond;
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> x, native<T> g, const CurveArgs<T>&) {
    x = within<T>(x, -kFar, kFar);
    const Normal<T> p = normal<T>(x);
    return g * (p.distribution + x * p.density);
  }
};

struct GeluTanh {
  static constexpr double steepness = 1.59576912160573071176;  // 2 sqrt(2 / pi)
  static constexpr double cubic = 0.044715;

  template <class T>
  static STRIATE_INLINE native<T> argument(native<T> x) {
    return static_cast<T>(steepness) * (x * (1 + static_cast<T>(cubic) * (x * x)));
  }
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, const CurveArgs<T>&) {
    x = at_least<T>(x, -kFar);
    return x * sigmoid<T>(argument<T>(x));
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> x, native<T> g, const CurveArgs<T>&) {
    x = within<T>(x, -kFar, kFar);
    const Odds<T> s = odds<T>(argument<T>(x));
    const native<T> slope = static_cast<T>(steepness) * (1 + static_cast<T>(3 * cubic) * (x * x));
    return g * (s.yes * (1 + x * slope * s.no));
  }
};

// ---- of a difference, in losses ---------------------------------------------------------------------------

struct Absolute {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, const CurveArgs<T>&) {
    return absolute<T>(x);
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> x, native<T> g, const CurveArgs<T>&) {
    const native<T> still = x == 0 ? native<T>{} : x;  // a NaN stays
    return x > 0 ? g : x < 0 ? -g : still;
  }
};

struct Huber {
  template <class T>
  static STRIATE_INLINE native<T> value(native<T> x, const CurveArgs<T>& args) {
    const native<T> size = absolute<T>(x);
    const native<T> line = args.first * (size - T(0.5) * args.first);
    return args.second * (size > args.first ? line : T(0.5) * (x * x));
  }
  template <class T>
  static STRIATE_INLINE native<T> grad(native<T> x, native<T> g, const CurveArgs<T>& args) {
    return g * (args.second * within<T>(x, -args.first, args.first));
  }
};

// ---- the table ------------------------------------------------------------------------------------------

template <class Function, class T>
constexpr pointwise::Curve<T> of = {run<Function, false, T, CurveArgs>, run<Function, true, T, CurveArgs>};

template <class T>
constexpr pointwise::CurveKernel<T> kernel() {
  return {of<Elu, T>,        of<Clip, T>, of<HardSigmoid, T>, of<HardSwish, T>, of<Softplus, T>,
          of<LogSigmoid, T>, of<Silu, T>, of<Gelu, T>,        of<GeluTanh, T>,  of<Mish, T>,
          of<Absolute, T>,   of<Huber, T>};
}

}  // namespace

constinit const pointwise::CurveTable curve_table = {kernel<float>(), kernel<double>()};

}  // namespace striate::STRIATE_ISA
