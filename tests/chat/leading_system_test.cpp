#include "chat/leading_system.h"

#include <gtest/gtest.h>

#include "chat/prompt.h"
#include "text/models.h"

namespace kvasir::chat {
namespace {

// Takes one system turn, at the front.
constexpr const char* kFrontOnly =
    "{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('order') }}{% "
    "endif %}"
    "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

// "SUA": roles as letters; contents are their places.
std::vector<Message> turns(const std::string& roles) {
  std::vector<Message> messages;
  for (std::size_t i = 0; i < roles.size(); ++i) {
    Message message;
    message.role = static_cast<Role>(std::string("SUAT").find(roles[i]));
    message.content = "turn " + std::to_string(i);
    messages.push_back(std::move(message));
  }
  return messages;
}

std::string order(const std::string& roles) {
  auto messages = turns(roles);
  lead_with_system_turns(messages);
  std::string places;
  for (const Message& message : messages) places += message.content.back();
  return places;
}

TEST(LeadingSystem, GoesBeforeTheFirstQuestion) {
  EXPECT_EQ(order("US"), "10");
  EXPECT_EQ(order("SUS"), "021");
  EXPECT_EQ(order("SUSSA"), "02314");
}

TEST(LeadingSystem, NothingElseMoves) {
  for (const char* roles : {"", "S", "U", "SU", "SUAUS", "SAUS", "UTS"}) {
    const std::string places = std::string("01234").substr(0, std::string(roles).size());
    EXPECT_EQ(order(roles), places) << roles;
  }
}

TEST(LeadingSystem, TheOrderStaysWhenTheConversationGrows) {
  const std::string roles = "SUSUSAUSATUS";
  const std::string all = order(roles);
  for (std::size_t length = 3; length <= roles.size(); ++length)
    EXPECT_TRUE(all.starts_with(order(roles.substr(0, length)))) << length;
}

std::string prompt_of(const PromptRenderer& renderer, const std::string& question) {
  Conversation conversation;
  conversation.messages = turns("SUS");
  conversation.messages[1].content = question;
  lead_with_system_turns(conversation.messages);
  const auto prompt = renderer.render(conversation);
  EXPECT_TRUE(prompt.ok());
  return prompt.ok() ? prompt->text : "";
}

TEST(LeadingSystem, AnotherQuestionIsAllThatIsNew) {
  for (const std::string& source :
       {std::string(*text::qwen().file->string("tokenizer.chat_template")), std::string(kFrontOnly)}) {
    const auto compiled = text::ChatTemplate::compile(source);
    ASSERT_TRUE(compiled.ok());
    const PromptRenderer renderer(*compiled, text::qwen().tokenizer, 0);
    const std::string prompt = prompt_of(renderer, "first");
    EXPECT_LT(prompt.find("turn 0"), prompt.find("turn 2"));
    EXPECT_LT(prompt.find("turn 2"), prompt.find("first"));
    const std::string same = prompt.substr(0, prompt.find("first"));
    EXPECT_EQ(prompt_of(renderer, "second").substr(0, same.size()), same);
  }
}

TEST(LeadingSystem, IsAReminderInTheQuestionWhereTheTemplateTakesOneSystemTurn) {
  const auto compiled = text::ChatTemplate::compile(kFrontOnly);
  ASSERT_TRUE(compiled.ok());
  const std::string prompt = prompt_of(PromptRenderer(*compiled, text::qwen().tokenizer, 0), "first");
  EXPECT_NE(prompt.find("<|im_start|>user\n<system-reminder>\nturn 2\n</system-reminder>\n\nfirst<|im_end|>"),
            std::string::npos)
      << prompt;
}

}  // namespace
}  // namespace kvasir::chat
