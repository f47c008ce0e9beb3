#pragma once
// Files among a request's messages: their text takes their place before anything else is read, so that the
// rest of this layer knows text only. PDFs (Anthropic's `document`, OpenAI's `file` and `input_file`) and
// OpenAI's text files.
//
// A file that cannot be read is an error in a message that the model has not answered yet: the answer would
// be about something that it has not seen. In earlier messages and in results of tools it is a note: clients
// send the whole conversation again with every request, and an error there would end the session. The errors'
// words are those by which Claude Code knows that a PDF must go (seen with 2.1.328): "The PDF specified was
// not valid", "The PDF specified is password protected", "could not process PDF", "maximum of N PDF pages".

#include <boost/json.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace kvasir::api {

// The text of a PDF, given in base64 as requests have it. kInvalidArgument, kCorruptData and kUnsupported are
// the file's own fault; other errors are the request's. nullopt: not known yet, and the request will be
// parsed once more when it is. Must give the same text for the same bytes every time.
using PdfReader = std::function<std::optional<Result<std::string>>(std::string_view base64)>;

// A reader for where none is: every PDF is an error that says so.
PdfReader no_pdf_reader();

// Both change `body`, a request whose shape is still unchecked, and return whether all texts were known.
// Throw FieldError.
bool read_anthropic_documents(boost::json::value& body, const PdfReader& reader);
// Chat completions ("messages") and responses ("input").
bool read_openai_files(boost::json::value& body, const PdfReader& reader);

}  // namespace kvasir::api
