#include "api/documents.h"

#include <gtest/gtest.h>

#include "api/anthropic_messages.h"
#include "api/openai_chat.h"
#include "api/openai_responses.h"

namespace kvasir::api {
namespace {

constexpr const char* kPdf = R"({"type":"base64","media_type":"application/pdf","data":"JVBERi0x"})";
constexpr const char* kBad = R"({"type":"base64","media_type":"application/pdf","data":"BAD"})";

// Reads every file but "BAD", and does not know "NEW" yet.
std::optional<Result<std::string>> reader(std::string_view base64) {
  if (base64 == "BAD") return make_error(ErrorCode::kCorruptData, "The PDF specified was not valid: bad.");
  if (base64 == "BUSY") return make_error(ErrorCode::kUnavailable, "busy");
  if (base64 == "NEW") return std::nullopt;
  return std::string("words");
}

std::string document(const std::string& source, const std::string& more = "") {
  return R"({"type":"document","source":)" + source + more + "}";
}

Result<ChatRequest> anthropic(const std::string& messages) {
  return parse_anthropic_messages(R"({"max_tokens":1,"messages":[)" + messages + "]}", {}, reader);
}

std::string user(const std::string& content) {
  return R"({"role":"user","content":[)" + content + "]}";
}

std::string problem(const Result<ChatRequest>& request) {
  return request.ok() ? "ok" : request.error().message;
}

TEST(Documents, APdfIsItsTextUnderTitleAndContext) {
  const auto request = anthropic(user(document(kPdf, R"(,"title":"T","context":"C")")));
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->conversation.messages.back().content, "T\nC\nwords");
  EXPECT_FALSE(request->awaits_documents);
}

TEST(Documents, AFirstMessageThatSaysNothingIsAnEmptyTurn) {
  for (const std::string content :
       {R"({"type":"text","text":""})", R"({"type":"container_upload","file_id":"f"})",
        R"({"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"NEW"}})"}) {
    const auto request = anthropic(user(content));
    ASSERT_TRUE(request.ok());
    EXPECT_EQ(request->conversation.messages.size(), 1U);
  }
}

TEST(Documents, OneThatCannotBeReadIsAnErrorInANewMessage) {
  EXPECT_EQ(problem(anthropic(user(document(kBad)))),
            "messages[0].content[0]: The PDF specified was not valid: bad.");
  EXPECT_EQ(
      problem(anthropic(user(document(R"({"type":"url","url":"https://x/y.pdf"})")))),
      "messages[0].content[0].source.type: a document of this kind cannot be read here: send a PDF (base64, "
      "application/pdf), or its text");
}

TEST(Documents, OneThatCannotBeReadIsANoteInResultsAndHistory) {
  const std::string note = "[document omitted: The PDF specified was not valid: bad.]";
  const auto history = anthropic(user(document(kBad)) +
                                 R"(,{"role":"assistant","content":"A"},{"role":"user","content":"U"})");
  ASSERT_TRUE(history.ok());
  EXPECT_EQ(history->conversation.messages.front().content, note);
  const auto result = anthropic(R"({"role":"user","content":"U"},
    {"role":"assistant","content":[{"type":"tool_use","id":"c","name":"read","input":{}}]},)" +
                                user(R"({"type":"tool_result","tool_use_id":"c","content":[)" +
                                     document(kBad) + "," + document(kPdf) + "]}," + document(kBad)));
  ASSERT_TRUE(result.ok());
  const auto& messages = result->conversation.messages;
  EXPECT_EQ(messages[messages.size() - 2].content, note + "\nwords");
  EXPECT_EQ(messages.back().content, note);
}

TEST(Documents, ABusyReaderIsTheRequestsErrorAndNeverANote) {
  const std::string busy = R"({"type":"base64","media_type":"application/pdf","data":"BUSY"})";
  const auto request = anthropic(user(document(busy)) +
                                 R"(,{"role":"assistant","content":"A"},{"role":"user","content":"U"})");
  ASSERT_FALSE(request.ok());
  EXPECT_EQ(request.error().code, ErrorCode::kUnavailable);
}

TEST(Documents, ATextThatIsNotKnownYetIsWaitedFor) {
  const std::string fresh = R"({"type":"base64","media_type":"application/pdf","data":"NEW"})";
  EXPECT_TRUE(anthropic(user(document(fresh)))->awaits_documents);
  const auto chat = parse_openai_chat(
      R"({"messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"data:application/pdf;base64,NEW"}}]}]})",
      reader);
  EXPECT_TRUE(chat->awaits_documents);
}

Result<ChatRequest> chat(const std::string& file, const std::string& more = "") {
  return parse_openai_chat(
      R"({"messages":[{"role":"user","content":[{"type":"text","text":"See"},{"type":"file","file":{)" +
          file + "}}]}" + more + "]}",
      reader);
}

TEST(Documents, OpenAiFilesAreTheirTextUnderTheirName) {
  const auto pdf = chat(R"("filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0x")");
  ASSERT_TRUE(pdf.ok()) << pdf.error().message;
  EXPECT_EQ(pdf->conversation.messages.back().content, "See\na.pdf\nwords");
  EXPECT_EQ(chat(R"("file_data":"JVBERi0x")")->conversation.messages.back().content, "See\nwords");
  EXPECT_EQ(chat(R"("file_data":"data:text/plain;base64,SGkgw6k=")")->conversation.messages.back().content,
            "See\nHi é");
}

TEST(Documents, OpenAiFilesThatCannotBeReadAreErrorsInANewMessage) {
  const std::string place = "messages[0].content[1]: ";
  EXPECT_EQ(problem(chat(R"("file_id":"file-1")")),
            place + "files are not fetched or kept here: send it in file_data");
  EXPECT_EQ(problem(chat(R"("file_data":"data:application/zip;base64,/w==")")),
            place + "this file cannot be read: PDFs and text files can");
  EXPECT_EQ(problem(chat(R"("file_data":"data:application/pdf;base64,BAD")")),
            place + "The PDF specified was not valid: bad.");
  const auto later =
      chat(R"("file_id":"file-1")", R"(,{"role":"assistant","content":"A"},{"role":"user","content":"U"})");
  ASSERT_TRUE(later.ok());
  EXPECT_NE(later->conversation.messages.front().content.find("[document omitted: files are not"),
            std::string::npos);
}

TEST(Documents, ResponsesTakeFilesInMessagesAndResults) {
  const auto request = parse_openai_responses(
      R"({"input":[{"role":"user","content":[{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0x"}]},
        {"type":"function_call","call_id":"c","name":"f","arguments":"{}"},
        {"type":"function_call_output","call_id":"c","output":[{"type":"input_file","file_data":"data:application/pdf;base64,BAD"}]}]})",
      {}, reader);
  ASSERT_TRUE(request.ok()) << request.error().message;
  const auto& messages = request->chat.conversation.messages;
  EXPECT_EQ(messages.front().content, "a.pdf\nwords");
  EXPECT_EQ(messages.back().content, "[document omitted: The PDF specified was not valid: bad.]");
  // What is kept for later turns has the text.
  EXPECT_EQ(request->items.front().at("content").at(0).at("text").as_string(), "a.pdf\nwords");
}

TEST(Documents, MalformedBlocksAreForOthersToRefuse) {
  for (const char* messages :
       {R"("x")", R"({"role":"user","content":[3]})", R"({"role":"user","content":[{"type":"document"}]})",
        R"({"role":"user","content":[{"type":"document","source":"x"}]})"}) {
    (void)anthropic(messages);
  }
  EXPECT_EQ(problem(anthropic(user(document(R"({"type":"base64","media_type":"application/pdf"})")))),
            "messages[0].content[0]: PDF cannot be empty.");
}

}  // namespace
}  // namespace kvasir::api
