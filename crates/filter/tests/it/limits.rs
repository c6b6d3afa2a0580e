//! Expressions that are to do harm: refused, or as small and quick as their text is.

use filter::{Expression, Failed, Filter};

fn refusal(text: &str) -> String {
    Expression::compile(text).unwrap_err().to_string()
}

/// Runs `with` on a thread whose stack is half of what the broker's threads have.
fn on_a_small_stack(with: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(with)
        .unwrap();
    thread.join().unwrap();
}

#[test]
fn what_nests_is_bounded() {
    on_a_small_stack(|| {
        for (before, inside, after) in [
            ("(", "a = 1", ")"),
            ("NOT (", "a = 1", ")"),
            ("b = 2 AND (c = 3 OR (", "a = 1", "))"),
            ("NOT ", "TRUE", ""),
            ("- ", "a = 1", ""),
            ("+ ", "a = 1", ""),
            ("", "a", " = 1"),
            ("", "a", " <> 1"),
            ("", "a", " IS NULL"),
            ("", "a", " IS NOT NULL"),
            ("", "a", " CONTAINS 'x'"),
            ("(", "a", " NOT CONTAINS 'x')"),
            ("(-", "a", " BETWEEN 1 AND 2)"),
        ] {
            let nested = |times| before.repeat(times) + inside + &after.repeat(times);
            let most = (1..)
                .find(|&times| Expression::compile(&nested(times)).is_err())
                .unwrap()
                - 1;
            assert!((50..=200).contains(&most), "{before}…{after}: {most}");
            let text = nested(most);
            let expression = Expression::compile(&text).unwrap();
            let _verdict = expression.evaluate(b"a\x011\x02b\x012\x02c\x013");
            assert_eq!(
                refusal(&nested(most + 1)),
                "the expression nests deeper than 200 levels",
                "{before}…{after}"
            );
            let longest = (64 << 10) / (before.len() + after.len()) - inside.len();
            assert_eq!(
                refusal(&nested(longest)),
                "the expression nests deeper than 200 levels",
                "{before}…{after}"
            );
        }
    });
}

#[test]
fn chains_and_lists_are_as_long_as_the_text_may_be() {
    on_a_small_stack(|| {
        let chain = |sign: &str| {
            (0..4000)
                .map(|i| format!("a = {i}"))
                .collect::<Vec<_>>()
                .join(sign)
        };
        let any = Expression::compile(&chain(" OR ")).unwrap();
        assert!(any.matches(b"a\x013999") && !any.matches(b"a\x014000"));
        let all = Expression::compile(&chain(" AND ")).unwrap();
        assert!(!all.matches(b"a\x013999"));
        let list = (0..5000).map(|i| format!("'{i}'")).collect::<Vec<_>>().join(",");
        let within = Expression::compile(&format!("a IN ({list})")).unwrap();
        assert!(within.matches(b"a\x014999") && !within.matches(b"a\x015000"));
        assert!(any.bytes() < 64 * chain(" OR ").len());
    });
    // Each pair of minus signs could begin a comment, whose end would be looked for up to the end of the text.
    let minus = vec!["--5=5"; 6000].join(" AND ");
    assert!(Expression::compile(&minus).unwrap().matches(b""));
    let long = format!("a = '{}'", "x".repeat(64 << 10));
    assert_eq!(refusal(&long), "the expression is longer than 65536 bytes");
}

/// A thousand searches of 32 KiB each would take a millisecond for each message.
#[test]
fn long_texts_are_not_searched_for_ever() {
    let properties = format!("a\x01{}", "x".repeat(30_000));
    let evaluate = |term: &str, times: usize| {
        let text = vec![term; times].join(" OR ");
        Expression::compile(&text)
            .unwrap()
            .evaluate(properties.as_bytes())
    };
    for term in ["a CONTAINS 'y'", "a NOT CONTAINS 'x'"] {
        assert_eq!(evaluate(term, 30), Ok(Some(false)), "{term}");
        assert_eq!(evaluate(term, 1000), Err(Failed::Long), "{term}");
    }
    let number = format!("a\x01{}", "0".repeat(30_000));
    let text = vec!["a > 1.0"; 1000].join(" OR ");
    let expression = Expression::compile(&text).unwrap();
    assert_eq!(expression.evaluate(number.as_bytes()), Err(Failed::Long));
    assert!(!expression.matches(number.as_bytes()));
    // What is short may be searched as often as an expression is long.
    assert_eq!(
        Expression::compile(&text).unwrap().evaluate(b"a\x011"),
        Ok(Some(false))
    );
    assert_eq!(evaluate("a IS NULL", 1000), Ok(Some(false)));
    assert_eq!(evaluate("a STARTSWITH 'y'", 1000), Ok(Some(false)));
    assert!(expression.is_slow() && !Expression::compile("a > 1.0").unwrap().is_slow());
}

#[test]
fn names_are_bounded() {
    let named = |count: usize| {
        (0..count)
            .map(|i| format!("p{i} = 1"))
            .collect::<Vec<_>>()
            .join(" OR ")
    };
    let most = Expression::compile(&named(128)).unwrap();
    assert!(most.matches(b"p0\x012\x02p127\x011") && !most.matches(b"p128\x011"));
    assert_eq!(
        refusal(&named(129)),
        "the expression names more than 128 properties"
    );
    // The same name again is no other one.
    assert!(Expression::compile(&vec!["p = 1"; 1000].join(" AND ")).is_ok());
}

#[test]
fn refusals_are_short() {
    let long = format!("1 > (a = '{}')", "é".repeat(30_000));
    let text = refusal(&long);
    assert!(
        text.starts_with("java.lang.RuntimeException: Value '(a == 'éé") && text.len() <= 4096,
        "{text}"
    );
}

/// Texts that are no UTF-8, names that come twice, empty values.
#[test]
fn odd_properties() {
    let check = |text: &str, properties: &[u8], expected| {
        let expression = Expression::compile(text).unwrap();
        assert_eq!(
            expression.evaluate(properties),
            Ok(expected),
            "{text} of {}",
            properties.escape_ascii()
        );
    };
    check("a = '1'", b"a\x012\x02a\x011", Some(true));
    check("a = '1'", b"a\x011\x02a\x012", Some(false));
    check("a IS NULL", b"a\x01\x02b\x011", Some(true));
    check("a IS NULL", b"", Some(true));
    check("a = 'x'", b"a\x01\xFF", Some(false));
    check("a CONTAINS 'x'", b"a\x01\xFFx", Some(true));
    let failing = Expression::compile("a > 1").unwrap();
    assert!(failing.evaluate(b"a\x01\xFF").is_err() && !failing.matches(b"a\x01\xFF"));
}
