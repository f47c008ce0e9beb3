#pragma once
// How a chat template is told whether and how much to think: by variables, under names and with values of the
// family's own. Which of them a template looks at is found by rendering it; what none looks at is left out.

#include <boost/json.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "chat/conversation.h"

namespace kvasir::chat {

struct ThinkingSwitch {
  boost::json::object on;   // variables that ask for a thought
  boost::json::object off;  // and for none; both empty where the template knows no switch
  std::string effort_key;
  std::vector<std::string> efforts;  // values of effort_key that the template tells apart; ascending
  std::string budget_key;            // takes the most tokens of a thought
};

// `render` renders a question with these variables, or fails.
using RenderSettings = std::function<Result<std::string>(const boost::json::object& settings)>;
ThinkingSwitch find_thinking_switch(const RenderSettings& render, std::string_view template_source);

// Puts into the template's context what the switch says for the wish. What the client has set there itself
// stays.
void apply_thinking(const ThinkingWish& wish, const ThinkingSwitch& way, boost::json::object& context);

}  // namespace kvasir::chat
