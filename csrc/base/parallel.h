// The one door to threads: parallel.cc is the only file that names OpenMP.
//
//   const int workers = workers_for(tasks, work);          // before: allocate scratch a worker
//   parallel_for(tasks, workers, mode, [&](int64_t task, int worker) { ... });   // must not throw
//
// Which worker runs which task may change from run to run; results must not depend on it. So a task
// writes only what it owns, and reductions use a fixed number of partial sums in a fixed order.
#pragma once

#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>

namespace striate {

/// A reference to a callable, two words, no allocation.
template <class Signature>
class FunctionRef;

template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template <class F, class = std::enable_if_t<!std::is_same_v<std::decay_t<F>, FunctionRef>>>
  FunctionRef(F&& function)  // NOLINT: implicit on purpose, like std::function
      : object_(const_cast<void*>(static_cast<const void*>(&function))),
        call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<Args>(args)...);
        }) {}
  R operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

/// Arithmetic may treat denormals as zero, comparisons must see them (see fpenv.h).
enum class FpMode : uint8_t { exact, flush_denormals };

/// The number of threads that calls may use: set_num_threads, else STRIATE_NUM_THREADS, else
/// OMP_NUM_THREADS, else the cores that affinity and cgroup leave us. ValueError on a bad variable.
int get_num_threads();
void set_num_threads(int64_t count);

/// How many workers are worth waking for `tasks` pieces of `work` elementary operations in all
/// (a multiply-add or an element moved counts 1).
int workers_for(int64_t tasks, double work);

/// Asked now and then by the thread that called parallel_for. True ends the work: tasks that have not begun
/// are skipped, and parallel_for throws Interrupted.
using InterruptCheck = bool (*)();
void set_interrupt_check(InterruptCheck check);
struct Interrupted : std::exception {};

void parallel_for(int64_t tasks, int workers, FpMode mode, FunctionRef<void(int64_t, int)> body);

}  // namespace striate
