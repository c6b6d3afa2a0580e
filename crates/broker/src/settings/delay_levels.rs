//! The table of delay levels (`messageDelayLevel`).

/// The delays of the levels, ms; level 1 first (`messageDelayLevel`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayLevels(Vec<i64>);

/// A `messageDelayLevel` that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("messageDelayLevel: {0:?} is no time such as 10s, 5m, 2h or 1d")]
pub struct BadLevel(String);

impl DelayLevels {
    /// Reads `1s 5s 10s …`; units s, m, h, d.
    pub fn parse(text: &str) -> Result<Self, BadLevel> {
        let mut levels = Vec::new();
        for word in text.split_whitespace() {
            let bad = || BadLevel(word.to_owned());
            let unit = word.chars().next_back().ok_or_else(bad)?;
            let unit_ms = match unit {
                's' => 1000,
                'm' => 60_000,
                'h' => 3_600_000,
                'd' => 86_400_000,
                _ => return Err(bad()),
            };
            let count: u32 = word.trim_end_matches(unit).parse().map_err(|_| bad())?;
            levels.push(i64::from(count) * unit_ms);
        }
        if levels.is_empty() {
            Err(BadLevel(text.to_owned()))
        } else {
            Ok(Self(levels))
        }
    }

    /// The highest level.
    pub fn max(&self) -> i32 {
        self.0.len() as i32
    }

    /// The delay of a level, ms. A level above the highest counts as the highest, for messages that were parked when the
    /// table was longer as for those that are sent now.
    pub fn delay_ms(&self, level: i32) -> i64 {
        let at = usize::try_from(level.min(self.max()) - 1).ok();
        at.and_then(|at| self.0.get(at)).copied().unwrap_or(0)
    }

    /// All delays, ms.
    pub fn as_ms(&self) -> &[i64] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_java_writes_them() {
        let text = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";
        let levels = DelayLevels::parse(text).expect("Java's default");
        assert_eq!(levels.max(), 18);
        assert_eq!((levels.as_ms()[0], levels.as_ms()[17]), (1000, 7_200_000));
        assert_eq!(
            [1, 18, 19, 99].map(|level| levels.delay_ms(level)),
            [1000, 7_200_000, 7_200_000, 7_200_000]
        );
        assert_eq!(DelayLevels::parse("1d").expect("a day").as_ms(), [86_400_000]);
        for bad in ["", "1", "s", "1x", "-1s", "1s 2"] {
            assert!(DelayLevels::parse(bad).is_err(), "{bad}");
        }
    }
}
