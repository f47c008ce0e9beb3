#pragma once
// Chat templates (Jinja), rendered as Python's jinja2 under Hugging Face's conventions renders them.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace kvasir::text {

// Immutable after creation; may be used from any thread at once.
class ChatTemplate {
 public:
  // Compiles `source`. kCorruptData with the template engine's words on a syntax error.
  static Result<std::shared_ptr<const ChatTemplate>> compile(std::string_view source);
  ~ChatTemplate();
  ChatTemplate(const ChatTemplate&) = delete;
  ChatTemplate& operator=(const ChatTemplate&) = delete;

  // `context_json`: one JSON object with the template's variables (messages, tools, add_generation_prompt,
  // bos_token, eos_token, ...). Key order is kept. `strftime_now` in the template sees `now_unix_seconds`.
  // kInvalidArgument with the template's own words where the template calls raise_exception.
  Result<std::string> render(std::string_view context_json, std::int64_t now_unix_seconds) const;

  const std::string& source() const;

  struct Impl;

 private:
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvasir::text
