#pragma once
// Anthropic's content blocks as the text that a prompt has for them.
//
// Whatever has text is shown by it: documents and search results with their title, source and context,
// results of tools that ran on Anthropic's servers, summaries of compacted turns. What has none (redacted
// thoughts, files in containers, kinds that are not known) says nothing. Images and documents that are not
// text leave a note in their place.
//
// An image in a new message of the user's own is an error: the answer would be about something that the model
// has not seen. Images in earlier messages and in results of tools keep their note: agents read image files
// with their tools and send the whole conversation again with every request, and an error there would end the
// session. The error's words, "could not process image", are among those by which Claude Code knows that the
// image must go: it sends the message again at once without it (seen with 2.1.328).

#include <string>
#include <string_view>

#include "api/fields.h"

namespace kvasir::api {

// `between` joins the blocks of a list; a string is itself; absent is empty.
std::string content_text(const Fields& owner, std::string_view key, std::string_view between);
// A block that is no tool_use, tool_result or thinking.
std::string block_text(const Fields& block);
// `between` only where there is something on both sides.
std::string joined(std::string first, std::string_view between, const std::string& second);

[[noreturn]] void refuse_image(const Fields& block);

}  // namespace kvasir::api
