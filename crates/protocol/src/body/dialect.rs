//! fastjson's dialect rewritten as strict JSON.

use super::{BodyError, ELEMENT_BYTES, OBJECT_BYTES};
use crate::scan::{DEPTH_MAX, JsonError, Scanner, Token, unescape};
use serde_json::{Map, Value};

/// How deep an object may be a map key inside a map key: every level doubles the escapes.
const KEY_DEPTH_MAX: usize = 2;

/// Rewrites fastjson's dialect as strict JSON text: keys quoted (an object as key becomes its own compact text), single
/// quotes doubled, comments and stray commas gone, `NaN` null. Strict JSON comes out with the same meaning.
pub fn normalise(body: &[u8]) -> Result<String, JsonError> {
    let text = String::from_utf8_lossy(body);
    let mut scanner = Scanner::new(text.as_bytes());
    let mut out = Vec::with_capacity(text.len() + text.len() / 8);
    let first = scanner.next()?;
    value(&mut scanner, &first, &mut out, 0, 0)?;
    if scanner.next()? != Token::End {
        return Err(scanner.error("text behind the value"));
    }
    Ok(String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

fn value(
    scanner: &mut Scanner<'_>,
    token: &Token,
    out: &mut Vec<u8>,
    depth: usize,
    key_depth: usize,
) -> Result<(), JsonError> {
    if depth > DEPTH_MAX {
        return Err(scanner.error("nested too deep"));
    }
    match token {
        Token::ObjectStart => object(scanner, out, depth, key_depth),
        Token::ArrayStart => array(scanner, out, depth, key_depth),
        Token::Text { .. } => {
            put_text(scanner.src, token, out);
            Ok(())
        }
        Token::Bare(range) => bare(scanner, &scanner.src[range.clone()], out),
        _ => Err(scanner.error("a value is missing")),
    }
}

fn object(
    scanner: &mut Scanner<'_>,
    out: &mut Vec<u8>,
    depth: usize,
    key_depth: usize,
) -> Result<(), JsonError> {
    out.push(b'{');
    let mut first = true;
    loop {
        let key = match scanner.next()? {
            Token::Comma => continue,
            Token::ObjectEnd => break,
            key => key,
        };
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        match &key {
            Token::Text { .. } | Token::Bare(_) => put_text(scanner.src, &key, out),
            Token::ObjectStart | Token::ArrayStart => {
                if key_depth >= KEY_DEPTH_MAX {
                    return Err(scanner.error("map keys nested too deep"));
                }
                let mut text = Vec::new();
                value(scanner, &key, &mut text, depth + 1, key_depth + 1)?;
                quote(&text, out);
            }
            _ => return Err(scanner.error("a key is missing")),
        }
        if scanner.next()? != Token::Colon {
            return Err(scanner.error("a ':' is missing"));
        }
        out.push(b':');
        let token = scanner.next()?;
        value(scanner, &token, out, depth + 1, key_depth)?;
    }
    out.push(b'}');
    Ok(())
}

fn array(
    scanner: &mut Scanner<'_>,
    out: &mut Vec<u8>,
    depth: usize,
    key_depth: usize,
) -> Result<(), JsonError> {
    out.push(b'[');
    let mut first = true;
    loop {
        match scanner.next()? {
            Token::Comma => {}
            Token::ArrayEnd => break,
            token => {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                value(scanner, &token, out, depth + 1, key_depth)?;
            }
        }
    }
    out.push(b']');
    Ok(())
}

fn bare(scanner: &Scanner<'_>, word: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
    match word {
        b"true" | b"false" | b"null" => out.extend_from_slice(word),
        b"NaN" | b"undefined" => out.extend_from_slice(b"null"),
        _ => {
            // fastjson lets a number carry its Java type's letter: 1L, 2.5D.
            let digits = word
                .strip_suffix(b"L")
                .or_else(|| word.strip_suffix(b"D"))
                .unwrap_or(word);
            let is_number = digits.iter().all(|b| b.is_ascii_digit() || b"+-.eE".contains(b))
                && serde_json::from_slice::<serde_json::Number>(digits).is_ok();
            if !is_number {
                return Err(scanner.error("an unquoted word that is no number"));
            }
            out.extend_from_slice(digits);
        }
    }
    Ok(())
}

fn put_text(src: &[u8], token: &Token, out: &mut Vec<u8>) {
    match token {
        Token::Text { range, escaped: true } => {
            let mut text = Vec::with_capacity(range.len());
            unescape(&src[range.clone()], &mut text);
            quote(&text, out);
        }
        Token::Text { range, .. } | Token::Bare(range) => quote(&src[range.clone()], out),
        _ => quote(b"", out),
    }
}

fn quote(text: &[u8], out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(text);
    let mut buf = Vec::with_capacity(text.len() + 2);
    crate::encode::put_json_text(&mut buf, &text);
    out.extend_from_slice(&buf);
}

/// Replaces `{"$ref":"$.path"}` by a copy of what it points at. A reference to what is around it becomes null. All together may take
/// some `max_bytes`: a reference is short, and may point at much.
pub(super) fn resolve_references(strict: &str, max_bytes: usize) -> Result<Value, BodyError> {
    let root: Value = serde_json::from_str(strict)?;
    let mut left = max_bytes;
    resolve(&root, &root, 0, &mut left).map_err(|error| match error {
        BodyError::TooLarge { .. } => BodyError::TooLarge { limit: max_bytes },
        error => error,
    })
}

/// What a value takes besides those in it.
fn weight(value: &Value) -> usize {
    match value {
        Value::Object(map) => OBJECT_BYTES + map.keys().map(String::len).sum::<usize>(),
        Value::String(text) => ELEMENT_BYTES + text.len(),
        _ => ELEMENT_BYTES,
    }
}

fn resolve(value: &Value, root: &Value, depth: usize, left: &mut usize) -> Result<Value, BodyError> {
    if depth > DEPTH_MAX {
        let what = "references nested too deep";
        return Err(JsonError { what, at: 0 }.into());
    }
    let rest = left.checked_sub(weight(value));
    *left = rest.ok_or(BodyError::TooLarge { limit: 0 })?;
    match value {
        Value::Object(map) => {
            if let (1, Some(Value::String(path))) = (map.len(), map.get("$ref")) {
                return match follow(path, root) {
                    Some(target) => resolve(target, root, depth + 1, left),
                    None => Ok(Value::Null),
                };
            }
            let mut out = Map::new();
            for (key, value) in map {
                out.insert(key.clone(), resolve(value, root, depth + 1, left)?);
            }
            Ok(Value::Object(out))
        }
        Value::Array(list) => list
            .iter()
            .map(|v| resolve(v, root, depth + 1, left))
            .collect::<Result<_, _>>()
            .map(Value::Array),
        scalar => Ok(scalar.clone()),
    }
}

/// `$.name.other[3]`, also with the index for a map whose keys are numbers. `\` escapes the next character of a name.
fn follow<'a>(path: &str, root: &'a Value) -> Option<&'a Value> {
    let mut rest = path.strip_prefix('$')?;
    let mut at = root;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('[') {
            let (index, tail) = tail.split_once(']')?;
            let index = index.trim_matches(['\'', '"']);
            at = match at {
                Value::Array(list) => list.get(index.parse::<usize>().ok()?)?,
                Value::Object(map) => map.get(index)?,
                _ => return None,
            };
            rest = tail;
            continue;
        }
        let tail = rest.strip_prefix('.')?;
        let mut name = String::new();
        let mut chars = tail.char_indices();
        let mut end = tail.len();
        while let Some((pos, c)) = chars.next() {
            match c {
                '\\' => name.extend(chars.next().map(|(_, c)| c)),
                '.' | '[' => {
                    end = pos;
                    break;
                }
                _ => name.push(c),
            }
        }
        at = at.get(&name)?;
        rest = &tail[end..];
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: &str) {
        assert_eq!(normalise(input.as_bytes()).as_deref(), Ok(expected), "{input}");
    }

    #[test]
    fn rewrites() {
        check("{0:1,true:2,a:'b'}", r#"{"0":1,"true":2,"a":"b"}"#);
        check(
            r#"{{"brokerName":"a","queueId":0,"topic":"T"}:{x:1}}"#,
            r#"{"{\"brokerName\":\"a\",\"queueId\":0,\"topic\":\"T\"}":{"x":1}}"#,
        );
        check("[1L,-2.5e3,NaN,null,]", "[1,-2.5e3,null,null]");
        check(r#""\u0041\x42\'""#, r#""AB'""#);
    }

    #[test]
    fn bounded() {
        let deep = "[".repeat(100_000);
        assert!(normalise(deep.as_bytes()).is_err());
        let keys = "{".repeat(10);
        assert!(normalise(keys.as_bytes()).is_err());
    }

    #[test]
    fn references() {
        let text = r#"{"a":{"b":[{"x":1}],"2":{"y":2}},"c":{"$ref":"$.a.b[0]"},"d":{"$ref":"$.a[2]"},"e":{"$ref":".."}}"#;
        let value = resolve_references(text, 1 << 20).expect("resolves");
        assert_eq!(value["c"]["x"], 1);
        assert_eq!(value["d"]["y"], 2);
        assert_eq!(value["e"], Value::Null);
        assert!(
            resolve_references(r#"{"a":{"$ref":"$.a"}}"#, 1 << 20).is_err(),
            "a reference to itself ends"
        );
        assert!(
            resolve_references(r#"{"a":{"$ref":"$"}}"#, 1 << 20).is_err(),
            "a reference to the root ends"
        );
    }
}
