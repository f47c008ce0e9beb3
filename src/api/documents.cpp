#include "api/documents.h"

#include <algorithm>
#include <boost/json.hpp>

#include "api/fields.h"
#include "base/base64.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

constexpr std::string_view kPdfType = "application/pdf";
constexpr std::string_view kPdfMagic = "JVBERi0";  // "%PDF-" in base64

// Whether a file that cannot be read is an error or a note.
enum class Unread { kRefused, kNote };

std::string string_of(const json::object& object, std::string_view key) {
  const json::value* found = object.if_contains(key);
  return found != nullptr && found->is_string() ? to_string(*found) : std::string();
}

json::object* object_of(json::object& object, std::string_view key) {
  json::value* found = object.if_contains(key);
  return found == nullptr ? nullptr : found->if_object();
}

json::array* list_of(json::object& object, std::string_view key) {
  json::value* found = object.if_contains(key);
  return found == nullptr ? nullptr : found->if_array();
}

bool is_files_own_fault(ErrorCode code) {
  return code == ErrorCode::kInvalidArgument || code == ErrorCode::kCorruptData ||
         code == ErrorCode::kUnsupported;
}

// What the readers of both dialects share.
class FileTexts {
 public:
  explicit FileTexts(const PdfReader& reader) : reader_(reader) {}

  // The text, or a note in its place.
  std::string pdf(std::string_view base64, const std::string& path, Unread unread) {
    const std::optional<Result<std::string>> text = reader_(base64);
    if (!text) {
      all_known_ = false;
      return {};
    }
    if (text->ok()) return text->value();
    const Error& error = text->error();
    if (!is_files_own_fault(error.code)) throw FieldError(error);
    return omitted(error.message, path, unread);
  }

  static std::string omitted(const std::string& why, const std::string& path, Unread unread) {
    if (unread == Unread::kRefused) field_error(path, why);
    return "[document omitted: " + why + "]";
  }

  bool all_known() const { return all_known_; }

 private:
  const PdfReader& reader_;
  bool all_known_ = true;
};

class AnthropicDocuments {
 public:
  explicit AnthropicDocuments(const PdfReader& reader) : texts_(reader) {}

  bool read(json::object& body) {
    json::array* messages = list_of(body, "messages");
    if (messages == nullptr) return true;
    std::size_t answered = 0;  // messages up to the last that the model has answered
    for (std::size_t i = 0; i < messages->size(); ++i) {
      const json::object* message = (*messages)[i].if_object();
      if (message != nullptr && string_of(*message, "role") == "assistant") answered = i + 1;
    }
    for (std::size_t i = 0; i < messages->size(); ++i) {
      if (json::object* message = (*messages)[i].if_object())
        read_message(*message, element_path("messages", i), i >= answered);
    }
    return texts_.all_known();
  }

 private:
  void read_message(json::object& message, const std::string& path, bool is_new) {
    json::array* blocks = list_of(message, "content");
    if (blocks == nullptr) return;
    // Beside results, documents may be the tools': clients put there what a tool has read.
    const bool results = std::any_of(blocks->begin(), blocks->end(), [](const json::value& block) {
      const json::object* fields = block.if_object();
      return fields != nullptr && string_of(*fields, "type") == "tool_result";
    });
    read_blocks(*blocks, path + ".content", is_new && !results ? Unread::kRefused : Unread::kNote);
  }

  void read_blocks(json::array& blocks, const std::string& path, Unread unread) {
    for (std::size_t i = 0; i < blocks.size(); ++i) read_block(blocks[i], element_path(path, i), unread);
  }

  // Results of tools hold blocks, or one.
  void read_block(json::value& value, const std::string& path, Unread unread) {
    json::object* block = value.if_object();
    if (block == nullptr) return;
    if (string_of(*block, "type") == "document") return read_document(*block, path, unread);
    if (json::array* inner = list_of(*block, "content"))
      return read_blocks(*inner, path + ".content", Unread::kNote);
    if (json::value* inner = block->if_contains("content"))
      read_block(*inner, path + ".content", Unread::kNote);
  }

  void read_document(json::object& block, const std::string& path, Unread unread) {
    json::object* source = object_of(block, "source");
    if (source == nullptr) return;
    const std::string type = string_of(*source, "type");
    if (type == "base64" && string_of(*source, "media_type") == kPdfType) {
      const json::value* data = source->if_contains("data");
      std::string text = data != nullptr && data->is_string()
                             ? texts_.pdf(data->get_string(), path, unread)
                             : FileTexts::omitted("PDF cannot be empty.", path, unread);
      *source = {{"type", "text"}, {"media_type", "text/plain"}, {"data", std::move(text)}};
    } else if (unread == Unread::kRefused && type != "text" && type != "content") {
      // Elsewhere anthropic_blocks.h leaves a note that names it.
      field_error(path + ".source.type", "a document of this kind cannot be read here: send a PDF (base64, " +
                                             std::string(kPdfType) + "), or its text");
    }
  }

  FileTexts texts_;
};

class OpenAiFiles {
 public:
  explicit OpenAiFiles(const PdfReader& reader) : texts_(reader) {}

  bool read(json::object& body) {
    for (const char* key : {"messages", "input"}) {
      if (json::array* turns = list_of(body, key)) read_turns(*turns, key);
    }
    return texts_.all_known();
  }

 private:
  static bool is_users(const json::object& turn) {
    const std::string role = string_of(turn, "role");
    return role == "user" || role == "system" || role == "developer";
  }

  void read_turns(json::array& turns, const std::string& key) {
    std::size_t answered = 0;  // turns up to the last of the model's or a tool's
    for (std::size_t i = 0; i < turns.size(); ++i) {
      const json::object* turn = turns[i].if_object();
      if (turn != nullptr && !is_users(*turn)) answered = i + 1;
    }
    for (std::size_t i = 0; i < turns.size(); ++i) {
      json::object* turn = turns[i].if_object();
      if (turn == nullptr) continue;
      for (const char* place : {"content", "output"}) {
        if (json::array* parts = list_of(*turn, place))
          read_parts(*parts, element_path(key, i) + "." + place,
                     i >= answered ? Unread::kRefused : Unread::kNote);
      }
    }
  }

  void read_parts(json::array& parts, const std::string& path, Unread unread) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      json::object* part = parts[i].if_object();
      if (part == nullptr) continue;
      const std::string type = string_of(*part, "type");
      json::object* file = type == "file" ? object_of(*part, "file") : type == "input_file" ? part : nullptr;
      if (file == nullptr) continue;
      std::string text = string_of(*file, "filename");
      text += (text.empty() ? "" : "\n") + file_text(*file, element_path(path, i), unread);
      *part = {{"type", "text"}, {"text", std::move(text)}};
    }
  }

  std::string file_text(const json::object& file, const std::string& path, Unread unread) {
    const json::value* data = file.if_contains("file_data");
    if (data == nullptr || !data->is_string()) {
      return FileTexts::omitted("files are not fetched or kept here: send it in file_data", path, unread);
    }
    // A data URL, or its base64 alone.
    std::string_view base64 = data->get_string();
    std::string_view kind;
    if (base64.starts_with("data:")) {
      const std::size_t comma = std::min(base64.find(','), base64.size());
      kind = base64.substr(0, comma);
      base64.remove_prefix(std::min(comma + 1, base64.size()));
    }
    if (base64.starts_with(kPdfMagic) || kind.find(kPdfType) != std::string_view::npos)
      return texts_.pdf(base64, path, unread);
    if (std::optional<std::string> text = base64_decode(base64); text && is_text(*text))
      return std::move(*text);
    return FileTexts::omitted("this file cannot be read: PDFs and text files can", path, unread);
  }

  static bool is_text(const std::string& bytes) {
    return is_utf8(bytes) && bytes.find('\0') == std::string::npos;
  }

  FileTexts texts_;
};

}  // namespace

PdfReader no_pdf_reader() {
  return [](std::string_view) -> std::optional<Result<std::string>> {
    return make_error(ErrorCode::kUnsupported, "could not process PDF: this server has no reader for it.");
  };
}

bool read_anthropic_documents(json::value& body, const PdfReader& reader) {
  json::object* fields = body.if_object();
  return fields == nullptr || AnthropicDocuments(reader).read(*fields);
}

bool read_openai_files(json::value& body, const PdfReader& reader) {
  json::object* fields = body.if_object();
  return fields == nullptr || OpenAiFiles(reader).read(*fields);
}

}  // namespace kvasir::api
