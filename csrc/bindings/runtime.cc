// The machine, the threads and the buffer pool, as Python sees them.
#include "base/buffer_pool.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "bindings/arrays.h"
#include "ops/conv_plan.h"
#include "ops/packed_weights.h"

namespace striate::python {
namespace {

py::dict cpu_info() {
  py::list supported;
  for (const Isa isa : all_isas())
    if (is_supported(isa)) supported.append(name_of(isa));
  py::dict info;
  info["model"] = cpu_model();
  info["isas"] = supported;
  info["isa"] = name_of(current_isa());
  info["cores"] = available_cores();
  info["threads"] = get_num_threads();
  return info;
}

py::dict pool_stats() {
  const BufferPool::Stats stats = BufferPool::instance().stats();
  py::dict result;
  result["limit_bytes"] = stats.limit;
  result["held_bytes"] = stats.held_bytes;
  result["held_buffers"] = stats.held_buffers;
  result["hits"] = stats.hits;
  result["misses"] = stats.misses;
  return result;
}

py::dict plan_stats() {
  const PlanCacheStats stats = plan_cache_stats();
  py::dict result;
  result["capacity"] = stats.capacity;
  result["held"] = stats.held;
  result["hits"] = stats.hits;
  result["misses"] = stats.misses;
  return result;
}

py::dict packed_stats() {
  const PackedWeights::Size size = packed_weights_size();
  py::dict result;
  result["limit_bytes"] = packed_weights_limit();
  result["held_bytes"] = size.bytes;
  result["held_forms"] = size.forms;
  return result;
}

std::string format_of(const py::array& array) {
  const FormatReading reading = read_format(view_of("memory_format", "array", array));
  return reading.format == MemoryFormat::contiguous      ? "contiguous"
         : reading.format == MemoryFormat::channels_last ? "channels_last"
                                                         : "other";
}

}  // namespace

void bind_runtime(py::module_& m) {
  m.def("cpu_info", cpu_info);
  m.def("get_isa", [] { return std::string(name_of(current_isa())); });
  m.def("set_isa", [](const std::string& name) {
    set_isa(name);
    clear_plan_cache();
  });
  m.def("set_num_threads", set_num_threads);
  m.def("get_num_threads", get_num_threads);
  m.def("buffer_pool_stats", pool_stats);
  m.def("set_buffer_pool_limit", [](int64_t bytes) {
    if (bytes < 0) fail_value("set_buffer_pool_limit: bytes must not be negative, got ", bytes);
    BufferPool::instance().set_limit(static_cast<size_t>(bytes));
  });
  m.def("clear_buffer_pool", [] { BufferPool::instance().clear(); });
  // Made and held by Python; only these bindings look inside.
  py::class_<PackedWeights>(m, "PackedWeights")
      .def(py::init<>())
      .def_property_readonly("forms", [](PackedWeights& packed) { return packed.size().forms; })
      .def_property_readonly("bytes", [](PackedWeights& packed) { return packed.size().bytes; });
  m.def("packed_weights_stats", packed_stats);
  m.def("set_packed_weights_limit", set_packed_weights_limit);
  m.def("start_scratch_meter", ScratchMeter::start);
  m.def("stop_scratch_meter", ScratchMeter::stop);
  m.def("memory_format", format_of);
  m.def("plan_cache_stats", plan_stats);
  m.def("clear_plan_cache", clear_plan_cache);
  m.def("get_workspace_limit", [] {
    const int64_t bytes = workspace_limit();
    return bytes == kNoLimit ? std::nullopt : std::optional(bytes);
  });
  m.def("set_workspace_limit",
        [](std::optional<int64_t> bytes) { set_workspace_limit(bytes.value_or(kNoLimit)); });
}

}  // namespace striate::python
