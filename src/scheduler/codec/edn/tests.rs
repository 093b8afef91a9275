use super::*;

fn nothing(_: &str) -> Option<String> {
    None
}

fn value(text: &str) -> Value {
    match read(text.as_bytes(), &nothing) {
        Ok(document) => document.root.value,
        Err(error) => panic!("{text}: {error}"),
    }
}

fn error(text: &str) -> String {
    match read(text.as_bytes(), &nothing) {
        Ok(document) => panic!("{text} is {document:?}"),
        Err(error) => error.to_string(),
    }
}

/// Writes a value as EDN.
fn written(value: &Value) -> String {
    let all = |nodes: &[Node]| {
        let texts: Vec<_> = nodes.iter().map(|node| written(&node.value)).collect();
        texts.join(" ")
    };
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Character(' ') => "\\space".to_owned(),
        Value::Character(character) => format!("\\{character}"),
        Value::String(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        Value::Keyword(name) => format!(":{name}"),
        Value::Symbol(name) => name.clone(),
        Value::List(nodes) => format!("({})", all(nodes)),
        Value::Vector(nodes) => format!("[{}]", all(nodes)),
        Value::Set(nodes) => format!("#{{{}}}", all(nodes)),
        Value::Map(pairs) => {
            let pair = |(key, value): &(Node, Node)| {
                format!("{} {}", written(&key.value), written(&value.value))
            };
            let texts: Vec<_> = pairs.iter().map(pair).collect();
            format!("{{{}}}", texts.join(", "))
        }
    }
}

/// Compares values, but not their places.
fn same(left: &Value, right: &Value) -> bool {
    written(left) == written(right)
}

#[test]
fn every_kind_of_value_is_read() {
    for (text, wanted) in [
        ("nil", Value::Nil),
        ("true", Value::Bool(true)),
        ("-42", Value::Integer(-42)),
        ("+7N", Value::Integer(7)),
        ("9223372036854775807", Value::Integer(i64::MAX)),
        ("1.5", Value::Float(1.5)),
        ("1e3", Value::Float(1000.0)),
        ("2.5M", Value::Float(2.5)),
        ("\\a", Value::Character('a')),
        ("\\newline", Value::Character('\n')),
        ("\\u00e9", Value::Character('é')),
        ("\\(", Value::Character('(')),
        (
            r#""a\n\"\\\u0041 ü""#,
            Value::String("a\n\"\\A ü".to_owned()),
        ),
        (":a/b-c?", Value::Keyword("a/b-c?".to_owned())),
        ("cook.plugins/x", Value::Symbol("cook.plugins/x".to_owned())),
        ("-", Value::Symbol("-".to_owned())),
        ("()", Value::List(Vec::new())),
        ("{,}", Value::Map(Vec::new())),
        ("#{}", Value::Set(Vec::new())),
        ("\u{feff} ; comment\r\n[]", Value::Vector(Vec::new())),
        ("#_ {:a #_ b 1} [] ; end", Value::Vector(Vec::new())),
        ("#_ #_ 1 2 3", Value::Integer(3)),
    ] {
        assert_eq!(value(text), wanted, "{text}");
    }
}

#[test]
fn every_value_has_its_place() {
    let document = read(b"{:a 1\n  :b [x\n y]}", &nothing).expect("valid");
    let Value::Map(pairs) = document.root.value else {
        panic!("not a map");
    };
    assert_eq!(pairs[1].0.place, Place { line: 2, column: 3 });
    let Value::Vector(nodes) = &pairs[1].1.value else {
        panic!("not a vector");
    };
    assert_eq!(nodes[1].place, Place { line: 3, column: 2 });
}

#[test]
fn the_dots_of_an_abbreviated_example_are_skipped_and_reported() {
    let document = read(b"{...\n :a [1 ...]\n ...}", &nothing).expect("valid");
    let wanted = value("{:a [1]}");
    assert!(same(&document.root.value, &wanted));
    let lines: Vec<_> = document.ellipses.iter().map(|place| place.line).collect();
    assert_eq!(lines, [1, 2, 3]);
}

#[test]
fn tags_take_their_value_from_the_environment() {
    let environment = |name: &str| match name {
        "PORT" => Some("12".to_owned()),
        "ON" => Some("true".to_owned()),
        _ => None,
    };
    let text = br#"[#config/env "PORT" #config/env-int "PORT" #config/env-bool "ON"]"#;
    let document = read(text, &environment).expect("valid");
    assert!(same(&document.root.value, &value(r#"["12" 12 true]"#)));
    for (text, words) in [
        (
            r#"#config/env "NONE""#,
            "NONE is not set in the environment",
        ),
        (
            r#"#config/env-int "ON""#,
            "the value of ON does not fit #config/env-int",
        ),
        ("#config/env 5", "as a string, found a number"),
        (r#"#inst "2020""#, "unknown tag #inst"),
    ] {
        let error = read(text.as_bytes(), &environment).expect_err("refused");
        assert!(error.text.contains(words), "{text}: {error}");
    }
}

#[test]
fn errors_say_what_and_where() {
    for (text, words) in [
        ("", "line 1, column 1: there is no value here"),
        ("; only a comment", "there is no value here"),
        ("{:a 1", "line 1, column 1: this { has no closing }"),
        (
            "{:a [1 2}",
            "line 1, column 9: found } where ] is expected, to close the [ of line 1, column 5",
        ),
        ("{:a}", "line 1, column 2: :a has no value"),
        (
            "{:a 1\n :a 2}",
            "line 2, column 2: :a occurs twice in this map",
        ),
        ("#{1 2 1}", "line 1, column 7: 1 occurs twice in this set"),
        (
            "{} {}",
            "line 1, column 4: a map after the end of the first value",
        ),
        ("{} }", "line 1, column 4: } closes nothing"),
        ("\"abc", "line 1, column 1: this string has no closing \""),
        (r#""\q""#, "line 1, column 2: \\ in a string"),
        (r#""\u12""#, "\\u needs four"),
        ("9223372036854775808", "is not a number, or out of range"),
        ("1/2", "1/2 is not a number"),
        ("1e999", "out of range"),
        (":", "a keyword needs a name"),
        ("^{:a 1} {}", "belongs to Clojure programs"),
        ("#\"a\"", "regular expression of Clojure"),
        ("#:a{:b 1}", "# must begin a set, a tag or #_"),
        ("\\abc", "unknown character \\abc"),
        ("#_", "a value must follow #_"),
        ("{#_ }", "a value must follow #_"),
    ] {
        let error = error(text);
        assert!(error.contains(words), "{text}: {error}");
    }
    let error = read(b"{:a\n \"x\xff\"}", &nothing).expect_err("refused");
    assert_eq!(error.to_string(), "line 2, column 4: this is not UTF-8");
}

#[test]
fn too_deep_nesting_is_refused_without_overflowing_the_stack() {
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(read(deep(64).as_bytes(), &nothing).is_ok());
    assert!(error(&deep(65)).contains("nested more than 64 deep"));
    assert!(error(&"[".repeat(100_000)).contains("nested more than 64 deep"));
    assert!(error(&"#_ ".repeat(100_000)).contains("nested more than 64 deep"));
    assert!(error(&"#config/env ".repeat(100_000)).contains("nested"));
}

/// A random generator of its own, so that every run has the same numbers without another crate.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn value(&mut self, depth: u64) -> Value {
        let place = Place { line: 1, column: 1 };
        let kinds = if depth == 0 { 8 } else { 12 };
        let size = self.below(4);
        let nodes = |random: &mut Self| {
            let node = |random: &mut Self| Node {
                place,
                value: random.value(depth - 1),
            };
            (0..size).map(|_| node(random)).collect::<Vec<_>>()
        };
        match self.below(kinds) {
            0 => Value::Nil,
            1 => Value::Bool(self.below(2) == 0),
            2 => Value::Integer(self.below(u64::MAX) as i64),
            3 => Value::Float(self.below(1 << 40) as f64 / 1024.0),
            4 => Value::Character(['a', '(', '"', 'ü', ' '][self.below(5) as usize]),
            5 => Value::String(["", "a b", "\"\\\"", "; {", "ü\n"][self.below(5) as usize].into()),
            6 => Value::Keyword(["a", "b/c", "x-y"][self.below(3) as usize].into()),
            7 => Value::Symbol(["a", "..", "-", "x.y/z"][self.below(4) as usize].into()),
            8 => Value::List(nodes(self)),
            9 => Value::Vector(nodes(self)),
            10 => Value::Set(unique(nodes(self))),
            _ => {
                let keys = unique(nodes(self));
                let pairs = keys.into_iter().map(|key| {
                    let value = self.value(depth - 1);
                    (key, Node { place, value })
                });
                Value::Map(pairs.collect())
            }
        }
    }
}

fn unique(nodes: Vec<Node>) -> Vec<Node> {
    let mut seen = std::collections::HashSet::new();
    let is_new = |node: &Node| seen.insert(written(&node.value));
    let mut is_new = is_new;
    nodes.into_iter().filter(|node| is_new(node)).collect()
}

#[test]
fn written_values_are_read_back() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..5_000 {
        let wanted = random.value(4);
        let text = written(&wanted);
        assert!(same(&value(&text), &wanted), "{text}");
    }
}

#[test]
fn no_input_panics() {
    let pieces: [&[u8]; 24] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b"(",
        b")",
        b"#{",
        b"#_",
        b"#",
        b"\"",
        b"\\",
        b":",
        b"a",
        b"1",
        b".",
        b"e",
        b"-",
        b" ",
        b"\n",
        b";",
        b"...",
        b"\xff",
        b"\xc3\xa9",
        b"#config/env",
    ];
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..50_000 {
        let length = random.below(24);
        let text: Vec<u8> = (0..length)
            .flat_map(|_| pieces[random.below(24) as usize])
            .copied()
            .collect();
        let _ = read(&text, &nothing);
    }
}
