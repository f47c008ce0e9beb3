#pragma once
// The one error type, and Result<T>: errors are values across layers, exceptions stay inside a layer.
//
// An error has a code (mapped to HTTP status and exit code at the edge only), a sentence for a person that
// says what happened, to which input, and what to do, and, where there is one, the offending field or file.

#include <cassert>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace kvasir {

enum class ErrorCode {
  kInvalidArgument,    // the caller's input is wrong (400)
  kUnauthenticated,    // no or wrong API key (401)
  kForbidden,          // whoever asks may not (403)
  kNotFound,           // no such model, file, route (404)
  kTooLarge,           // request body over the limit (413)
  kContextOverflow,    // prompt + max_tokens do not fit the model's context (400, texts that clients parse)
  kResourceExhausted,  // queue full, memory budget reached (503 + Retry-After)
  kUnavailable,        // still loading, shutting down (503)
  kCancelled,          // the caller went away
  kCorruptData,        // a file is truncated or lies about itself
  kUnsupported,        // a format, family or option that this build does not know
  kIo,                 // the operating system refused
  kInternal,           // a bug: an invariant did not hold
};

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  std::string subject;  // field name, path or parameter the message is about; may be empty
};

// Holds a T or an Error. Check ok() (or test as bool) before value().
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

// Success or an Error.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

inline Error make_error(ErrorCode code, std::string message, std::string subject = {}) {
  return Error{code, std::move(message), std::move(subject)};
}

}  // namespace kvasir

// Returns the error of a Status or Result expression to the caller.
#define KVASIR_RETURN_IF_ERROR(expr)                            \
  do {                                                          \
    if (auto kvasir_status = (expr); !kvasir_status.ok()) {     \
      return ::kvasir::Error(std::move(kvasir_status).error()); \
    }                                                           \
  } while (false)

// KVASIR_ASSIGN_OR_RETURN(auto x, f()): x = *f(), or return its error.
#define KVASIR_CONCAT_INNER(a, b) a##b
#define KVASIR_CONCAT(a, b) KVASIR_CONCAT_INNER(a, b)
#define KVASIR_ASSIGN_OR_RETURN(lhs, expr) \
  KVASIR_ASSIGN_OR_RETURN_IMPL(KVASIR_CONCAT(kvasir_result_, __LINE__), lhs, expr)
#define KVASIR_ASSIGN_OR_RETURN_IMPL(tmp, lhs, expr)             \
  auto tmp = (expr);                                             \
  if (!tmp.ok()) return ::kvasir::Error(std::move(tmp).error()); \
  lhs = std::move(tmp).value()
