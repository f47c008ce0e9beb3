//! `strftime` as chat templates use it: Python's directives in the C locale, over UTC.

const MONTHS: [&str; 12] = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

struct Moment {
    year: i64,
    month: usize, // 0..12
    day: i64,     // 1..=31
    weekday: usize,
    yearday: i64, // 1..=366
    hour: i64,
    minute: i64,
    second: i64,
    unix_seconds: i64,
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

impl Moment {
    fn new(unix_seconds: i64) -> Self {
        // Years 1 to 9999, as Python's datetime.
        let unix_seconds = unix_seconds.clamp(-62_135_596_800, 253_402_300_799);
        let days = unix_seconds.div_euclid(86_400);
        let seconds = unix_seconds.rem_euclid(86_400);
        // Whole 400-year cycles first, so that the loops below are short.
        let mut year = 1970 + days.div_euclid(146_097) * 400;
        let mut left = days.rem_euclid(146_097);
        loop {
            let length = if is_leap(year) { 366 } else { 365 };
            if left < length {
                break;
            }
            left -= length;
            year += 1;
        }
        let yearday = left + 1;
        let february = if is_leap(year) { 29 } else { 28 };
        let mut month = 0;
        for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            if left < length {
                break;
            }
            left -= length;
            month += 1;
        }
        Moment {
            year,
            month,
            day: left + 1,
            weekday: (days + 4).rem_euclid(7) as usize,
            yearday,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            unix_seconds,
        }
    }

    fn directive(&self, letter: char, padded: bool) -> Option<String> {
        let number = |value: i64, width: usize| {
            if padded { format!("{value:0width$}") } else { value.to_string() }
        };
        let hour12 = (self.hour + 11) % 12 + 1;
        Some(match letter {
            'Y' => self.year.to_string(),
            'y' => number(self.year % 100, 2),
            'm' => number(self.month as i64 + 1, 2),
            'd' => number(self.day, 2),
            'e' => format!("{:2}", self.day),
            'H' => number(self.hour, 2),
            'I' => number(hour12, 2),
            'M' => number(self.minute, 2),
            'S' => number(self.second, 2),
            'f' => "000000".into(),
            'j' => number(self.yearday, 3),
            'p' => if self.hour < 12 { "AM" } else { "PM" }.into(),
            'B' => MONTHS[self.month].into(),
            'b' | 'h' => MONTHS[self.month][..3].into(),
            'A' => DAYS[self.weekday].into(),
            'a' => DAYS[self.weekday][..3].into(),
            'w' => self.weekday.to_string(),
            'u' => (if self.weekday == 0 { 7 } else { self.weekday }).to_string(),
            's' => self.unix_seconds.to_string(),
            // Python's naive datetime has no zone to name.
            'Z' | 'z' => String::new(),
            'n' => "\n".into(),
            't' => "\t".into(),
            '%' => "%".into(),
            'F' => self.format("%Y-%m-%d"),
            'T' | 'X' => self.format("%H:%M:%S"),
            'D' | 'x' => self.format("%m/%d/%y"),
            'R' => self.format("%H:%M"),
            'r' => self.format("%I:%M:%S %p"),
            'c' => self.format("%a %b %e %H:%M:%S %Y"),
            _ => return None,
        })
    }

    fn format(&self, format: &str) -> String {
        let mut out = String::new();
        let mut chars = format.chars().peekable();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let padded = chars.next_if_eq(&'-').is_none();
            match chars.next() {
                None => out.push('%'),
                Some(letter) => match self.directive(letter, padded) {
                    Some(text) => out.push_str(&text),
                    None => out.extend(['%', letter]),
                },
            }
        }
        out
    }
}

pub fn format(unix_seconds: i64, format: &str) -> String {
    Moment::new(unix_seconds).format(format)
}
