#pragma once

#include <napi.h>

#include <string>
#include <type_traits>

namespace eventfs {

/**
 * The memory of a typed array that C++ and TypeScript share. A reference keeps V8 from collecting
 * it.
 *
 * Data() moves the bytes of a small array off V8's heap for good, so the pointer stays valid.
 */
template <typename Word>
class SharedArray {
  static_assert(std::is_same_v<Word, uint8_t> || std::is_same_v<Word, uint32_t>);

 public:
  /** Takes the option `name`; throws a TypeError if it is another kind of value. */
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
  /** The number of words. */
  size_t size() const { return size_; }
  Word& operator[](size_t index) const { return data_[index]; }

  /**
   * Returns whether the array has `length` words from `start` on. No intermediate value overflows.
   */
  bool holds(size_t start, size_t length) const {
    return start <= size_ && length <= size_ - start;
  }

  /** Drops the reference: V8 may collect the array. */
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
