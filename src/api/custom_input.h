#pragma once
// The text of a custom tool's call out of the JSON that the model writes around it, as it comes.

#include <memory>
#include <string>
#include <string_view>

namespace kvasir::api {

// Reads {"input": "..."} in fragments. One a call; not thread-safe.
class CustomInput {
 public:
  CustomInput();
  ~CustomInput();
  CustomInput(CustomInput&&) noexcept;
  CustomInput& operator=(CustomInput&&) noexcept;

  // What the fragment adds to the text.
  std::string feed(std::string_view fragment);

 private:
  struct Reader;
  std::unique_ptr<Reader> reader_;
};

}  // namespace kvasir::api
