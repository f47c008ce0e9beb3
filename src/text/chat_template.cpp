#include "text/chat_template.h"

#include <utility>

#include "text/ffi.h"

namespace kvasir::text {

struct ChatTemplate::Impl {
  ffi::TemplateHandle handle;
  std::string source;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::~ChatTemplate() = default;

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::compile(std::string_view source) {
  auto impl = std::make_unique<Impl>();
  impl->source = source;
  kvt_template* handle = nullptr;
  kvt_buffer error{};
  const kvt_status status = kvt_template_compile(ffi::text_of(source), &handle, &error);
  if (status != KVT_OK) return ffi::error_of(status, error, "chat_template");
  impl->handle.reset(handle);
  return std::shared_ptr<const ChatTemplate>(new ChatTemplate(std::move(impl)));
}

Result<std::string> ChatTemplate::render(std::string_view context_json, std::int64_t now_unix_seconds) const {
  kvt_buffer out{};
  kvt_buffer error{};
  const kvt_status status =
      kvt_template_render(impl_->handle.get(), ffi::text_of(context_json), now_unix_seconds, &out, &error);
  if (status != KVT_OK) return ffi::error_of(status, error, "messages");
  return ffi::take(out);
}

const std::string& ChatTemplate::source() const {
  return impl_->source;
}

}  // namespace kvasir::text
