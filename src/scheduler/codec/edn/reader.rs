//! Builds one value from tokens.

use std::collections::HashSet;

use super::scanner::{Bracket, Scanner, Token, quoted};
use super::{Error, Node, Place, Value};

/// Maximum depth of nesting. The reader is recursive, and no real configuration comes near this.
const MAX_DEPTH: usize = 64;

/// The content of a file, and what the caller should report.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The only value of the file.
    pub root: Node,
    /// The places of skipped `...`.
    pub ellipses: Vec<Place>,
}

struct Reader<'a> {
    scanner: Scanner<'a>,
    environment: &'a dyn Fn(&str) -> Option<String>,
    ellipses: Vec<Place>,
    depth: usize,
}

/// The next item within a bracket.
enum Item {
    Node(Node),
    Close(Place, char),
    End,
}

/// Reads a file that contains exactly one value. `environment` looks up the variables that
/// `#config/env` and similar tags name.
///
/// # Errors
///
/// The first mistake, with its place: invalid UTF-8, unbalanced brackets, a key given twice in a map, a
/// number out of range, an unknown tag, no value, or more than one.
pub fn read(bytes: &[u8], environment: &dyn Fn(&str) -> Option<String>) -> Result<Document, Error> {
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))?;
    let mut reader = Reader {
        scanner: Scanner::new(text),
        environment,
        ellipses: Vec::new(),
        depth: 0,
    };
    let start = reader.scanner.place();
    let root = match reader.item()? {
        Item::Node(node) => node,
        Item::Close(place, bracket) => return Err(unopened(place, bracket)),
        Item::End => {
            let text = "there is no value here: write {} for the defaults".to_owned();
            return Err(Error { place: start, text });
        }
    };
    match reader.item()? {
        Item::End => Ok(Document {
            root,
            ellipses: reader.ellipses,
        }),
        Item::Close(place, bracket) => Err(unopened(place, bracket)),
        Item::Node(second) => {
            let (place, kind) = (second.place, second.value.kind());
            let text = format!("{kind} after the end of the first value: one map is expected");
            Err(Error { place, text })
        }
    }
}

impl Reader<'_> {
    fn item(&mut self) -> Result<Item, Error> {
        loop {
            let Some((place, token)) = self.scanner.next()? else {
                return Ok(Item::End);
            };
            let value = match token {
                Token::Close(bracket) => return Ok(Item::Close(place, bracket)),
                Token::Discard => {
                    self.operand(place, "#_")?;
                    continue;
                }
                Token::Tag(name) => self.tagged(place, &name)?,
                Token::Open(bracket) => self.collection(place, bracket)?,
                Token::String(text) => Value::String(text),
                Token::Character(character) => Value::Character(character),
                Token::Word(word) => atom(place, word)?,
            };
            return Ok(Item::Node(Node { place, value }));
        }
    }

    /// Reads the value that has to follow `what`.
    fn operand(&mut self, place: Place, what: &str) -> Result<Node, Error> {
        self.enter(place)?;
        let item = self.item()?;
        self.depth -= 1;
        match item {
            Item::Node(node) => Ok(node),
            Item::Close(..) | Item::End => {
                let text = format!("a value must follow {}", quoted(what));
                Err(Error { place, text })
            }
        }
    }

    fn enter(&mut self, place: Place) -> Result<(), Error> {
        if self.depth == MAX_DEPTH {
            let text = format!("nested more than {MAX_DEPTH} deep");
            return Err(Error { place, text });
        }
        self.depth += 1;
        Ok(())
    }

    fn collection(&mut self, start: Place, bracket: Bracket) -> Result<Value, Error> {
        self.enter(start)?;
        let mut nodes = Vec::new();
        loop {
            match self.item()? {
                // Examples in documentation abbreviate with "...", and people copy them. It is skipped, and
                // its place is kept for a warning.
                Item::Node(node) if node.value == Value::Symbol("...".to_owned()) => {
                    self.ellipses.push(node.place);
                }
                Item::Node(node) => nodes.push(node),
                Item::Close(_, closing) if closing == bracket.closing() => break,
                Item::Close(place, closing) => {
                    let (opening, wanted) = (bracket.opening(), bracket.closing());
                    let text = format!(
                        "found {closing} where {wanted} is expected, to close the {opening} of {start}"
                    );
                    return Err(Error { place, text });
                }
                Item::End => {
                    let (opening, wanted) = (bracket.opening(), bracket.closing());
                    let text = format!("this {opening} has no closing {wanted}");
                    return Err(Error { place: start, text });
                }
            }
        }
        self.depth -= 1;
        match bracket {
            Bracket::List => Ok(Value::List(nodes)),
            Bracket::Vector => Ok(Value::Vector(nodes)),
            Bracket::Set => {
                no_repeats(nodes.iter(), "this set")?;
                Ok(Value::Set(nodes))
            }
            Bracket::Map => pairs(nodes).map(Value::Map),
        }
    }

    fn tagged(&mut self, place: Place, name: &str) -> Result<Value, Error> {
        let operand = self.operand(place, &format!("#{name}"))?;
        let fail = |text: String| Err(Error { place, text });
        let convert: fn(&str) -> Option<Value> = match name {
            "config/env" => |text| Some(Value::String(text.to_owned())),
            "config/env-int" => |text| text.parse().ok().map(Value::Integer),
            "config/env-bool" => |text| text.parse().ok().map(Value::Bool),
            _ => {
                let name = quoted(name);
                return fail(format!(
                    "unknown tag #{name}: known are #config/env, #config/env-int and #config/env-bool"
                ));
            }
        };
        let Value::String(variable) = operand.value else {
            let kind = operand.value.kind();
            return fail(format!(
                "#{name} needs the name of a variable as a string, found {kind}"
            ));
        };
        let Some(text) = (self.environment)(&variable) else {
            return fail(format!("{variable} is not set in the environment"));
        };
        match convert(&text) {
            Some(value) => Ok(value),
            // The value is not repeated, because it may be a secret.
            None => fail(format!("the value of {variable} does not fit #{name}")),
        }
    }
}

fn pairs(nodes: Vec<Node>) -> Result<Vec<(Node, Node)>, Error> {
    no_repeats(nodes.iter().step_by(2), "this map")?;
    let mut pairs = Vec::with_capacity(nodes.len() / 2);
    let mut nodes = nodes.into_iter();
    while let Some(key) = nodes.next() {
        let Some(value) = nodes.next() else {
            let (place, name) = (key.place, describe(&key.value));
            let text = format!("{name} has no value");
            return Err(Error { place, text });
        };
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// Checks that no value occurs twice.
fn no_repeats<'a>(nodes: impl Iterator<Item = &'a Node>, what: &str) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for node in nodes {
        if !seen.insert(describe(&node.value)) {
            let place = node.place;
            let text = format!("{} occurs twice in {what}", quoted(&describe(&node.value)));
            return Err(Error { place, text });
        }
    }
    Ok(())
}

/// A text for each value that is equal only for equal values.
fn describe(value: &Value) -> String {
    let all = |nodes: &[Node]| {
        let texts: Vec<_> = nodes.iter().map(|node| describe(&node.value)).collect();
        texts.join(" ")
    };
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Character(character) => format!("\\{character}"),
        Value::String(text) => format!("{text:?}"),
        Value::Keyword(name) => format!(":{name}"),
        Value::Symbol(name) => name.clone(),
        Value::List(nodes) => format!("({})", all(nodes)),
        Value::Vector(nodes) => format!("[{}]", all(nodes)),
        Value::Set(nodes) => format!("#{{{}}}", all(nodes)),
        Value::Map(pairs) => {
            let pair = |(key, value): &(Node, Node)| {
                format!("{} {}", describe(&key.value), describe(&value.value))
            };
            let texts: Vec<_> = pairs.iter().map(pair).collect();
            format!("{{{}}}", texts.join(" "))
        }
    }
}

fn atom(place: Place, word: String) -> Result<Value, Error> {
    let is_number = {
        let digits = word.strip_prefix(['+', '-']).unwrap_or(&word);
        digits.starts_with(|first: char| first.is_ascii_digit())
    };
    if is_number {
        return number(&word).ok_or_else(|| Error {
            place,
            text: format!("{} is not a number, or out of range", quoted(&word)),
        });
    }
    if let Some(name) = word.strip_prefix(':') {
        if name.is_empty() || name.starts_with(':') {
            let text =
                "a keyword needs a name after one colon, such as :port (this is EDN, not JSON)"
                    .to_owned();
            return Err(Error { place, text });
        }
        return Ok(Value::Keyword(name.to_owned()));
    }
    Ok(match word.as_str() {
        "nil" => Value::Nil,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => Value::Symbol(word),
    })
}

fn number(word: &str) -> Option<Value> {
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    let whole = digits.strip_suffix('N').unwrap_or(digits);
    if whole.bytes().all(|byte| byte.is_ascii_digit()) {
        let word = word.strip_suffix('N').unwrap_or(word);
        return word.parse().ok().map(Value::Integer);
    }
    let parts = digits.strip_suffix('M').unwrap_or(digits);
    let allowed = |byte: u8| byte.is_ascii_digit() || b".eE+-".contains(&byte);
    if !parts.bytes().all(allowed) {
        return None;
    }
    let word = word.strip_suffix('M').unwrap_or(word);
    let number: f64 = word.parse().ok()?;
    number.is_finite().then_some(Value::Float(number))
}

fn unopened(place: Place, bracket: char) -> Error {
    let text = format!("{bracket} closes nothing");
    Error { place, text }
}

fn not_utf8(bytes: &[u8], at: usize) -> Error {
    let before = String::from_utf8_lossy(&bytes[..at]);
    let last = before.rsplit('\n').next().unwrap_or_default();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let place = Place {
        line: count(before.matches('\n').count() + 1),
        column: count(last.chars().count() + 1),
    };
    let text = "this is not UTF-8".to_owned();
    Error { place, text }
}
