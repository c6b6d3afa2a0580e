//! The golden files are what Java says today.

use std::path::PathBuf;
use std::process::Command;

use super::{bitmaps, lines, unescape, verdicts};

/// What the tool prints, run with the servers of a version.
fn tool(version: &str, args: &[&str]) -> String {
    let tests = cluster::repository().join("crates/filter/tests");
    let file = |name: &&str| -> PathBuf {
        // What is in a folder elsewhere stays what it is.
        match name.ends_with(".txt") {
            true => tests.join(name),
            false => PathBuf::from(name),
        }
    };
    let output = Command::new("java")
        // Without the second an exception that comes often loses its text.
        .args([
            "-Xmx256m",
            "-XX:-OmitStackTraceInFastThrow",
            "-cp",
            &cluster::java_servers(version),
        ])
        .arg(tests.join("java/FilterTool.java"))
        .args(args.iter().map(file))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn golden_files_are_what_java_says() {
    let golden = [
        ("4.9.7", include_str!("../golden/verdicts-4.9.7.txt")),
        ("5.3.3", include_str!("../golden/verdicts-5.3.3.txt")),
    ];
    for (version, expected) in golden {
        let found = tool(version, &["verdicts", "messages.txt", "expressions.txt"]);
        let expressions = lines(verdicts::EXPRESSIONS);
        for ((expression, expected), found) in expressions.zip(expected.lines()).zip(found.lines()) {
            assert_eq!(found, expected, "{version}: {expression}");
        }
        assert_eq!(found.lines().count(), expected.lines().count(), "{version}");
        assert_eq!(tool(version, &["bloom"]), bitmaps::JAVA, "{version}");
    }
}

/// Parts of expressions, whole comparisons among them so that more than a few are taken.
const PARTS: [&str; 60] = [
    "a",
    "b",
    "c",
    "a",
    "b",
    "1",
    "5",
    "2",
    "1.5",
    "5.0",
    "2147483648",
    "'abc'",
    "'5'",
    "''",
    "'it''s'",
    "TRUE",
    "FALSE",
    "NULL",
    "AND",
    "OR",
    "AND",
    "OR",
    "NOT",
    "NOT",
    "(",
    ")",
    "(",
    ")",
    "=",
    "<>",
    ">",
    ">=",
    "<",
    "<=",
    "-",
    "+",
    ",",
    "IS",
    "IS NULL",
    "IS NOT NULL",
    "IN",
    "IN ('1', '5', 'abc')",
    "NOT IN ('5')",
    "BETWEEN",
    "BETWEEN 1 AND 5",
    "NOT BETWEEN 1 AND b",
    "CONTAINS 'b'",
    "STARTSWITH 'a'",
    "NOT ENDSWITH 'c'",
    "CONTAINS",
    "a = 1",
    "b > 1",
    "a < b",
    "(a >= 2)",
    "c = 'x'",
    "a IS NULL",
    "1 = 1",
    "/* c */",
    "#",
    ".5",
];

/// Words that follow one another by chance, and half of them by something like the grammar.
fn random_expression(random: &mut impl FnMut(usize) -> usize) -> String {
    let operand = |random: &mut dyn FnMut(usize) -> usize| PARTS[random(18)].to_owned();
    if random(2) == 0 {
        let words: Vec<&str> = (0..1 + random(9)).map(|_| PARTS[random(PARTS.len())]).collect();
        return words.join(" ");
    }
    let mut text = String::new();
    for nth in 0..1 + random(4) {
        if nth > 0 {
            text += [" AND ", " OR ", " = ", " AND NOT "][random(4)];
        }
        let (left, right) = (operand(random), operand(random));
        let sign = ["=", "<>", ">", ">=", "<", "<="][random(6)];
        text += &match random(6) {
            0 => format!("({left} {sign} {right})"),
            1 => format!("{left} BETWEEN {right} AND {}", operand(random)),
            2 => format!("NOT ({left} {sign} -{right})"),
            3 => format!("{left} {}", PARTS[38 + random(11)]),
            _ => format!("{left} {sign} {right}"),
        };
    }
    text
}

#[test]
fn random_expressions_have_javas_verdicts() {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % end as u64) as usize
    };
    let expressions: Vec<String> = (0..6000)
        // The tool takes a line that starts with # for a comment.
        .map(|_| format!(" {}", random_expression(&mut random)))
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), expressions.join("\n")).unwrap();
    let found = tool(
        "5.3.3",
        &["verdicts", "messages.txt", file.path().to_str().unwrap()],
    );
    let messages = verdicts::messages();
    let mut taken = 0;
    for (expression, java) in expressions.iter().zip(found.lines()) {
        let ours = verdicts::ours(expression, &messages);
        let is_refused = java.starts_with('!');
        taken += usize::from(!is_refused);
        // A plus sign makes Java look ahead, so that it finds another fault than ours first.
        if is_refused && expression.contains('+') {
            assert!(ours.starts_with('!'), "{expression}: {ours}");
        } else {
            assert_eq!(
                ours,
                if is_refused {
                    unescape(java)
                } else {
                    java.to_owned()
                },
                "{expression}"
            );
        }
    }
    assert_eq!(found.lines().count(), expressions.len());
    assert!(taken > 1200, "{taken}");
}
