#pragma once

#include <napi.h>

#include <string>
#include <type_traits>

namespace eventfs {

/**
 * The memory of a typed array that both sides work on, and a reference that keeps it from being collected.
 * Asking for the pointer moves a small array's bytes off V8's heap for good, so the pointer stays true.
 */
template <typename Word>
class SharedArray {
  static_assert(std::is_same_v<Word, uint8_t> || std::is_same_v<Word, uint32_t>);

 public:
  /** The array `name` of an options object; throws a TypeError when it is something else. */
  SharedArray(Napi::Object options, const char* name) {
    constexpr bool isBytes = std::is_same_v<Word, uint8_t>;
    constexpr napi_typedarray_type wanted = isBytes ? napi_uint8_array : napi_uint32_array;
    Napi::Value value = options.Get(name);
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != wanted) {
      const char* type = isBytes ? "Uint8Array" : "Uint32Array";
      throw Napi::TypeError::New(options.Env(), std::string(name) + " must be a " + type);
    }
    auto array = value.As<Napi::TypedArrayOf<Word>>();
    data_ = array.Data();
    size_ = array.ElementLength();
    reference_ = Napi::Persistent(value.As<Napi::Object>());
  }

  Word* data() const { return data_; }
  /** In words. */
  size_t size() const { return size_; }
  Word& operator[](size_t index) const { return data_[index]; }

  /** Whether `length` words from `start` on are inside; neither sum nor difference can overflow. */
  bool holds(size_t start, size_t length) const { return start <= size_ && length <= size_ - start; }

  /** Lets the array be collected. */
  void release() {
    data_ = nullptr;
    size_ = 0;
    reference_.Reset();
  }

 private:
  Word* data_ = nullptr;
  size_t size_ = 0;
  Napi::ObjectReference reference_;
};

}  // namespace eventfs
