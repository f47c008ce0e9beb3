//! Chat templates: minijinja set up as transformers sets up jinja2 (trimmed blocks, loop controls, its own
//! `tojson`, `raise_exception`, `strftime_now`, Python's string, list and dict methods).

use std::collections::BTreeMap;
use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value};

use crate::{fail, free_handle, guard, python_methods, strftime, tojson, Code, Outcome, Owned, Text};

/// A template that runs away is stopped: about a thousand times what the longest conversations need.
const FUEL: u64 = 50_000_000;
const NAME: &str = "chat_template";

pub struct ChatTemplate {
    environment: Environment<'static>,
}

/// The template refused its input, in its own words.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

fn raise_exception(message: Value) -> Result<Value, Error> {
    let message = message.to_string();
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
}

fn print(out: &mut minijinja::Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if value.is_number() && !value.is_integer() {
        if let Ok(x) = f64::try_from(value.clone()) {
            let text = match tojson::python_float(x).as_str() {
                "NaN" => "nan".to_string(),
                "Infinity" => "inf".to_string(),
                "-Infinity" => "-inf".to_string(),
                finite => finite.to_string(),
            };
            return out.write_str(&text).map_err(Error::from);
        }
    }
    minijinja::escape_formatter(out, state, value)
}

impl ChatTemplate {
    fn compile(source: &str) -> Outcome<Self> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.or_else(|e| fail(Code::Internal, format!("template syntax: {e}")))?);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(python_methods::call);
        environment.add_test("sequence", is_sequence);
        environment.set_formatter(print);
        environment.set_fuel(Some(FUEL));
        environment.add_function("raise_exception", raise_exception);
        environment.add_filter("tojson", |value: Value, ascii: Option<bool>, options: Kwargs| {
            tojson::tojson(value, ascii, options)
        });
        environment
            .add_template_owned(NAME, without_generation_tags(source))
            .or_else(|e| fail(Code::Corrupt, format!("the chat template does not compile: {}", words_of(&e))))?;
        Ok(ChatTemplate { environment })
    }

    fn render(&self, context_json: &str, now_unix_seconds: i64) -> Outcome<String> {
        let context: serde_json::Map<String, serde_json::Value> = serde_json::from_str(context_json)
            .or_else(|e| fail(Code::Invalid, format!("the template's variables are not one JSON object: {e}")))?;
        let mut variables: BTreeMap<String, Value> =
            context.into_iter().map(|(name, value)| (name, value_of(value))).collect();
        let clock = move |format: String| strftime::format(now_unix_seconds, &format);
        variables.insert("strftime_now".into(), Value::from_function(clock));
        let template = self
            .environment
            .get_template(NAME)
            .or_else(|e| fail(Code::Internal, format!("the compiled template is gone: {e}")))?;
        template.render(variables).or_else(|e| match raised(&e) {
            Some(words) => fail(Code::Invalid, words),
            None => fail(Code::Invalid, format!("the chat template failed: {}", words_of(&e))),
        })
    }
}

/// Jinja2's test asks for a length and for items by index or key: strings and dicts have both.
fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map)
}

/// Keys keep their order; whole numbers stay whole and others stay floats, as in Python.
fn value_of(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::from(()),
        Json::Bool(b) => Value::from(b),
        Json::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => Value::from(i),
            (_, Some(u)) => Value::from(u),
            _ => Value::from(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(s) => Value::from(s),
        Json::Array(items) => items.into_iter().map(value_of).collect(),
        Json::Object(fields) => Value::from_pairs(fields.into_iter().map(|(name, value)| (name, value_of(value)))),
    }
}

fn raised(error: &Error) -> Option<String> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = next {
        if let Some(raised) = current.downcast_ref::<Raised>() {
            return Some(raised.0.clone());
        }
        next = current.source();
    }
    None
}

fn words_of(error: &Error) -> String {
    match error.line() {
        Some(line) => format!("{} (line {line})", error.detail().unwrap_or(&error.kind().to_string())),
        None => error.to_string(),
    }
}

/// `{% generation %}` marks the assistant's part for training; rendering ignores it. The engine knows no custom
/// tags, so it becomes a block that is always entered, its whitespace control kept.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let Some(end) = tag.find("%}").map(|at| at + 2) else {
            rest = tag;
            break;
        };
        let inner = &tag[2..end - 2];
        let name = inner.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        match name {
            "generation" => out.push_str(&tag[..end].replace(name, "if true")),
            "endgeneration" => out.push_str(&tag[..end].replace(name, "endif")),
            _ => {
                // Only the opening is consumed: the closing found may belong to a string inside the tag.
                out.push_str("{%");
                rest = &tag[2..];
                continue;
            }
        }
        rest = &tag[end..];
    }
    out.push_str(rest);
    out
}

// ---- The C face ----

#[no_mangle]
pub unsafe extern "C" fn kvt_template_compile(
    source: Text,
    out: *mut *mut ChatTemplate,
    error: *mut Owned<u8>,
) -> i32 {
    guard(error, || {
        let template = ChatTemplate::compile(source.utf8("the chat template")?)?;
        out.write(Box::into_raw(Box::new(template)));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn kvt_template_free(template: *mut ChatTemplate) {
    free_handle(template);
}

#[no_mangle]
pub unsafe extern "C" fn kvt_template_render(
    template: *const ChatTemplate,
    context_json: Text,
    now_unix_seconds: i64,
    out: *mut Owned<u8>,
    error: *mut Owned<u8>,
) -> i32 {
    guard(error, || {
        let text = match std::str::from_utf8(context_json.bytes()) {
            Ok(json) => (*template).render(json, now_unix_seconds)?,
            Err(_) => return fail(Code::Invalid, "the template's variables are not valid UTF-8"),
        };
        out.write(Owned::new(text.into_bytes()));
        Ok(())
    })
}
