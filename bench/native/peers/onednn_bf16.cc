// oneDNN's product of bf16 by bf16 with fp32 sums: the matmul primitive, its weights in the layout that it asks for. The C
// interface of version 2, declared here as far as it is used, so that no header is needed; descriptors, which are structures
// there (696 and 2800 bytes in 2.6), are storage that only the library reads. Rounding is counted as a training step has it:
// x and dy in every product, the weights once, unless Product::pack says otherwise. It is the library's own (its reorder).
#include <utility>
#include <vector>

#include "engine.h"
#include "onednn.h"

namespace toolgrad::bench {

namespace {

struct Storage {
  alignas(64) unsigned char bytes[8192];
};
using Dims = int64_t[12];
struct Argument {
  int index;
  void* memory;
};

constexpr int kUnimplemented = 3;                             // dnnl_status_t
constexpr int kBf16 = 2, kF32 = 3;                            // dnnl_data_type_t
constexpr int kCpu = 1;                                       // dnnl_engine_kind_t
constexpr int kAnyLayout = 1;                                 // dnnl_format_tag_t
constexpr unsigned kInOrder = 1;                              // dnnl_stream_flags_t
constexpr int kImplementation = 8, kWeightsLayout = 131;      // dnnl_query_t
constexpr int kSource = 1, kDestination = 17, kWeights = 33;  // DNNL_ARG_*
void* const kAllocate = reinterpret_cast<void*>(~size_t{0});  // DNNL_MEMORY_ALLOCATE

/// What dnnl_*_create made; the last copy destroys it.
using Handle = std::shared_ptr<void>;

class OneDnn {
 public:
  explicit OneDnn(const Library& library)
      : memory_desc_by_strides_(library.need<decltype(memory_desc_by_strides_)>("dnnl_memory_desc_init_by_strides")),
        memory_desc_by_tag_(library.need<decltype(memory_desc_by_tag_)>("dnnl_memory_desc_init_by_tag")),
        matmul_desc_(library.need<decltype(matmul_desc_)>("dnnl_matmul_desc_init")),
        primitive_desc_(library.need<decltype(primitive_desc_)>("dnnl_primitive_desc_create")),
        reorder_desc_(library.need<decltype(reorder_desc_)>("dnnl_reorder_primitive_desc_create")),
        query_(library.need<decltype(query_)>("dnnl_primitive_desc_query")),
        query_desc_(library.need<decltype(query_desc_)>("dnnl_primitive_desc_query_md")),
        primitive_(library.need<decltype(primitive_)>("dnnl_primitive_create")),
        execute_(library.need<decltype(execute_)>("dnnl_primitive_execute")),
        wait_(library.need<decltype(wait_)>("dnnl_stream_wait")),
        memory_(library.need<decltype(memory_)>("dnnl_memory_create")),
        set_post_ops_(library.need<decltype(set_post_ops_)>("dnnl_primitive_attr_set_post_ops")),
        append_sum_(library.need<decltype(append_sum_)>("dnnl_post_ops_append_sum")),
        create_attributes_(library.need<decltype(create_attributes_)>("dnnl_primitive_attr_create")),
        create_post_ops_(library.need<decltype(create_post_ops_)>("dnnl_post_ops_create")) {
    for (auto& [destroy, name] :
         {std::pair{&destroy_primitive_desc_, "dnnl_primitive_desc_destroy"},
          std::pair{&destroy_primitive_, "dnnl_primitive_destroy"}, std::pair{&destroy_memory_, "dnnl_memory_destroy"},
          std::pair{&destroy_attributes_, "dnnl_primitive_attr_destroy"},
          std::pair{&destroy_post_ops_, "dnnl_post_ops_destroy"}})
      *destroy = library.need<Destroy>(name);
    void* made = nullptr;
    require(library.need<int (*)(void**, int, size_t)>("dnnl_engine_create")(&made, kCpu, 0), "dnnl_engine_create");
    engine_ = {made, library.need<Destroy>("dnnl_engine_destroy")};
    require(library.need<int (*)(void**, void*, unsigned)>("dnnl_stream_create")(&made, engine_.get(), kInOrder),
            "dnnl_stream_create");
    stream_ = {made, library.need<Destroy>("dnnl_stream_destroy")};
  }

  /// A matrix [rows, columns] of which element (r, c) is at r * row_step + c * column_step.
  Storage matrix(int64_t rows, int64_t columns, int dtype, int64_t row_step, int64_t column_step) const {
    Storage desc{};
    const Dims dims = {rows, columns}, strides = {row_step, column_step};
    require(memory_desc_by_strides_(&desc, 2, dims, dtype, strides), "dnnl_memory_desc_init_by_strides");
    return desc;
  }
  /// The same in a layout that a primitive will choose.
  Storage any_layout(int64_t rows, int64_t columns, int dtype) const {
    Storage desc{};
    const Dims dims = {rows, columns};
    require(memory_desc_by_tag_(&desc, 2, dims, dtype, kAnyLayout), "dnnl_memory_desc_init_by_tag");
    return desc;
  }
  /// destination = source x weights, or += . Null where the library has nothing for it on this processor.
  Handle matmul(const Storage& source, const Storage& weights, const Storage& destination, bool add) const {
    Storage op{};
    require(matmul_desc_(&op, &source, &weights, nullptr, &destination), "dnnl_matmul_desc_init");
    void* made = nullptr;
    require(create_attributes_(&made), "dnnl_primitive_attr_create");
    const Handle attributes(made, destroy_attributes_);
    require(create_post_ops_(&made), "dnnl_post_ops_create");
    const Handle post_ops(made, destroy_post_ops_);
    if (add) require(append_sum_(post_ops.get(), 1.0f), "dnnl_post_ops_append_sum");
    require(set_post_ops_(attributes.get(), post_ops.get()), "dnnl_primitive_attr_set_post_ops");
    const int status = primitive_desc_(&made, &op, attributes.get(), engine_.get(), nullptr);
    if (status == kUnimplemented) return nullptr;
    require(status, "dnnl_primitive_desc_create (matmul)");
    return {made, destroy_primitive_desc_};
  }
  /// Which of the library's kernels that is.
  std::string implementation(const Handle& primitive_desc) const {
    if (primitive_desc == nullptr) return "none";
    const char* text = nullptr;
    require(query_(primitive_desc.get(), kImplementation, 0, &text), "dnnl_primitive_desc_query");
    return text;
  }
  const void* weights_of(const Handle& primitive_desc) const {
    return query_desc_(primitive_desc.get(), kWeightsLayout, 0);
  }
  Handle reorder(const void* from, const void* to) const {
    void* made = nullptr;
    require(reorder_desc_(&made, from, engine_.get(), to, engine_.get(), nullptr),
            "dnnl_reorder_primitive_desc_create");
    return primitive({made, destroy_primitive_desc_});
  }
  Handle primitive(const Handle& primitive_desc) const {
    void* made = nullptr;
    require(primitive_(&made, primitive_desc.get()), "dnnl_primitive_create");
    return {made, destroy_primitive_};
  }
  Handle memory(const void* desc, void* data) const {
    void* made = nullptr;
    require(memory_(&made, desc, engine_.get(), data), "dnnl_memory_create");
    return {made, destroy_memory_};
  }
  void execute(const Handle& primitive, std::initializer_list<Argument> arguments) const {
    require(execute_(primitive.get(), stream_.get(), static_cast<int>(arguments.size()), arguments.begin()),
            "dnnl_primitive_execute");
    require(wait_(stream_.get()), "dnnl_stream_wait");
  }

 private:
  using Destroy = int (*)(void*);

  static void require(int status, const char* what) {
    if (status != 0) throw Error("ERR_PEER", std::string(what) + " returned " + std::to_string(status));
  }

  int (*memory_desc_by_strides_)(Storage*, int, const Dims, int, const Dims);
  int (*memory_desc_by_tag_)(Storage*, int, const Dims, int, int);
  int (*matmul_desc_)(Storage*, const Storage*, const Storage*, const Storage*, const Storage*);
  int (*primitive_desc_)(void**, const Storage*, const void*, void*, const void*);
  int (*reorder_desc_)(void**, const void*, void*, const void*, void*, const void*);
  int (*query_)(const void*, int, int, void*);
  const void* (*query_desc_)(const void*, int, int);
  int (*primitive_)(void**, const void*);
  int (*execute_)(const void*, void*, int, const Argument*);
  int (*wait_)(void*);
  int (*memory_)(void**, const void*, void*, void*);
  int (*set_post_ops_)(void*, const void*);
  int (*append_sum_)(void*, float);
  int (*create_attributes_)(void**);
  int (*create_post_ops_)(void**);
  Destroy destroy_primitive_desc_, destroy_primitive_, destroy_memory_, destroy_attributes_, destroy_post_ops_;
  Handle engine_, stream_;
};

class OneDnnBf16 final : public Engine {
 public:
  OneDnnBf16(const Library& library, std::string version) : dnnl_(library), version_(std::move(version)) {
    const Storage square = dnnl_.matrix(64, 64, kBf16, 64, 1);
    kernel_ = dnnl_.implementation(
        dnnl_.matmul(square, dnnl_.any_layout(64, 64, kBf16), dnnl_.matrix(64, 64, kF32, 64, 1), false));
  }

  /// Of a square product, as the library calls it.
  const std::string& kernel() const { return kernel_; }
  std::string name() const override { return "oneDNN bf16"; }
  std::string detail() const override { return version_ + "; matmul " + kernel_; }

  void prepare(const Product& product, const Numbers& numbers) override {
    product_ = product;
    left_ = numbers.left, right_ = numbers.right;
    result_.assign(static_cast<size_t>(product.outputs()), 0.0f);
    const int64_t T = product.T, N = product.N, K = product.K;
    const bool add = product.form == Form::kWeight;
    // Rows, terms and columns of the product, and the steps of its operands as they lie in memory.
    struct Extents {
      int64_t m, k, n, left_row, left_column, right_row, right_column;
    };
    const Extents e = product.form == Form::kForward ? Extents{T, K, N, K, 1, 1, K}
                      : product.form == Form::kInput ? Extents{T, N, K, N, 1, K, 1}
                                                     : Extents{N, T, K, 1, N, K, 1};
    const Storage left = dnnl_.matrix(e.m, e.k, kF32, e.left_row, e.left_column);
    const Storage rounded = dnnl_.matrix(e.m, e.k, kBf16, e.left_row, e.left_column);
    const Storage right = dnnl_.matrix(e.k, e.n, kF32, e.right_row, e.right_column);
    const Storage result = dnnl_.matrix(e.m, e.n, kF32, e.n, 1);
    const Handle chosen = dnnl_.matmul(rounded, dnnl_.any_layout(e.k, e.n, kBf16), result, add);
    const std::string kernel = dnnl_.implementation(chosen);
    if (kernel == "none" || kernel.find("ref") == 0)
      throw Error("ERR_PEER", "oneDNN has no fast kernel for this product: " + kernel);

    matmul_ = dnnl_.primitive(chosen);
    round_left_ = dnnl_.reorder(&left, &rounded);
    pack_right_ = dnnl_.reorder(&right, dnnl_.weights_of(chosen));
    left_memory_ = dnnl_.memory(&left, left_.data());
    rounded_memory_ = dnnl_.memory(&rounded, kAllocate);
    right_memory_ = dnnl_.memory(&right, right_.data());
    result_memory_ = dnnl_.memory(&result, result_.data());
    packed_.clear();
    for (int i = 0; i < (add ? 1 : product.copies); ++i) {
      packed_.push_back(dnnl_.memory(dnnl_.weights_of(chosen), kAllocate));
      pack(packed_.back());
    }
    if (!packs_each_time()) right_memory_.reset(), right_ = {};
  }

  void multiply(int copy) override {
    const Handle& weights = packed_[product_.form == Form::kWeight ? 0 : static_cast<size_t>(copy)];
    if (packs_each_time()) pack(weights);
    dnnl_.execute(round_left_, {{kSource, left_memory_.get()}, {kDestination, rounded_memory_.get()}});
    dnnl_.execute(matmul_,
                  {{kSource, rounded_memory_.get()}, {kWeights, weights.get()}, {kDestination, result_memory_.get()}});
  }

  float output(int64_t at) const override { return result_[static_cast<size_t>(at)]; }

  void release() override {
    for (Handle* part :
         {&matmul_, &round_left_, &pack_right_, &left_memory_, &rounded_memory_, &right_memory_, &result_memory_})
      part->reset();
    packed_ = {};
    for (std::vector<float>* part : {&left_, &right_, &result_}) *part = {};
  }

 private:
  // Of a weight gradient both operands are activations.
  bool packs_each_time() const { return product_.pack || product_.form == Form::kWeight; }
  void pack(const Handle& weights) {
    dnnl_.execute(pack_right_, {{kSource, right_memory_.get()}, {kDestination, weights.get()}});
  }

  OneDnn dnnl_;
  std::string version_, kernel_;
  Product product_{};
  std::vector<float> left_, right_, result_;
  Handle matmul_, round_left_, pack_right_, left_memory_, rounded_memory_, right_memory_, result_memory_;
  std::vector<Handle> packed_;
};

}  // namespace

std::unique_ptr<Engine> make_onednn_bf16(const std::string& path, int /*threads: OMP_NUM_THREADS*/,
                                         std::string* reason) {
  const auto library = Library::open(path, {"libdnnl.so.2", "libdnnl.so.3", "libdnnl.so"}, reason);
  if (library == nullptr) return nullptr;
  const OneDnnVersion version = onednn_version(*library);
  if (version.major != 2) {
    *reason = "oneDNN " + version.text() + ": its bf16 products are called by the interface of version 2";
    return nullptr;
  }
  const std::string file = Library::file(library->need<const void*>("dnnl_version"));
  auto engine = std::make_unique<OneDnnBf16>(*library, version.text() + "; " + file);
  if (engine->kernel().find("bf16") != std::string::npos) return engine;
  *reason = "oneDNN " + version.text() + " has no bf16 kernel for this processor, its choice: " + engine->kernel();
  return nullptr;
}

}  // namespace toolgrad::bench
