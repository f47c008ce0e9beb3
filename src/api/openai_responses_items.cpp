#include "api/openai_responses_items.h"

#include <unordered_map>

#include "api/fields.h"
#include "api/openai_fields.h"
#include "api/openai_tools.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

class ItemReader {
 public:
  explicit ItemReader(std::vector<chat::Message>& to) : messages_(to) {}

  void read(const Fields& item, std::size_t at) {
    at_ = at;
    const std::string type = item.string("type").value_or("message");
    if (type == "message") {
      read_message(item);
    } else if (type == "reasoning") {
      read_thought(item);
    } else if (type == "function_call" || type == "custom_tool_call") {
      read_call(item, type == "custom_tool_call");
    } else if (type == "function_call_output" || type == "custom_tool_call_output") {
      read_output(item);
    } else if (type == "item_reference") {
      field_error(item.path_of("type"),
                  "item_reference is not supported; send the item, or previous_response_id");
    }
  }

 private:
  void read_message(const Fields& item) {
    const std::string role = item.required_string("role");
    if (role == "assistant") {
      chat::Message& turn = answer();
      const std::string text = parse_openai_content(item, "content", true);
      turn.content += (turn.content.empty() || text.empty() ? "" : "\n") + text;
      return;
    }
    if (role != "user" && role != "system" && role != "developer") {
      field_error(item.path_of("role"), "\"" + role + "\" is not one of user, system, developer, assistant");
    }
    add(role == "user" ? chat::Role::kUser : chat::Role::kSystem).content =
        parse_openai_content(item, "content", true);
  }

  void read_thought(const Fields& item) {
    std::string text;
    for (const char* key : {"content", "summary"}) {
      const json::array* parts = item.array(key);
      for (std::size_t i = 0; parts != nullptr && i < parts->size(); ++i) {
        const Fields part((*parts)[i], element_path(item.path_of(key), i));
        text += (text.empty() ? "" : "\n") + part.string("text").value_or("");
      }
      if (!text.empty()) break;
    }
    if (text.empty()) {
      // Somebody else's is of no use here.
      const std::string sealed = item.string("encrypted_content").value_or("");
      if (sealed.starts_with(kThoughtMark)) text = sealed.substr(kThoughtMark.size());
    }
    if (text.empty()) return;
    chat::Message& turn = answer();
    turn.reasoning += (turn.reasoning.empty() ? "" : "\n") + text;
  }

  void read_call(const Fields& item, bool custom) {
    chat::ToolCall call{item.required_string("call_id"), item.required_string("name"), {}};
    call.name = joined_tool_name(item.string("namespace").value_or(""), call.name);
    call.arguments = custom ? json::serialize(json::object{{kCustomInput, item.required_string("input")}})
                            : item.string("arguments").value_or("");
    called_[call.id] = call.name;
    answer().tool_calls.push_back(std::move(call));
  }

  void read_output(const Fields& item) {
    const std::string id = item.required_string("call_id");
    chat::Message& turn = add(chat::Role::kTool);
    turn.tool_call_id = id;
    const auto known = called_.find(id);
    if (known != called_.end()) turn.name = known->second;
    turn.content = parse_openai_content(item, "output", true, Media::kNote);
  }

  // The assistant's turn that the last items belong to, or a new one.
  chat::Message& answer() {
    if (messages_.empty() || messages_.back().role != chat::Role::kAssistant) add(chat::Role::kAssistant);
    return messages_.back();
  }

  chat::Message& add(chat::Role role) {
    messages_.emplace_back().role = role;
    messages_.back().client_index = at_;
    return messages_.back();
  }

  std::vector<chat::Message>& messages_;
  std::unordered_map<std::string, std::string> called_;  // id -> tool
  std::size_t at_ = 0;
};

}  // namespace

void append_items(const json::array& items, const std::string& path, std::vector<chat::Message>& messages) {
  ItemReader reader(messages);
  for (std::size_t i = 0; i < items.size(); ++i) reader.read(Fields(items[i], element_path(path, i)), i);
}

}  // namespace kvasir::api
