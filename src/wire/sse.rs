//! Reads an event stream (SSE): bytes in any pieces, events out, within a size.
//!
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// `id:`; empty when the event has none of its own.
    pub id: String,
    /// `event:`, or `message`.
    pub event: String,
    /// `data:`, lines joined by a line feed.
    pub data: String,
}

/// What the parser found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An event.
    Event(Event),
    /// A line that is no field of an event, such as a gateway's plain-text error in the stream.
    Stray(String),
}

/// The stream sent a line or an event that is larger than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {0} bytes")]
pub struct TooLarge(pub usize);

/// An incremental parser.
#[derive(Debug)]
pub struct Parser {
    max: usize,
    line: Vec<u8>,
    after_cr: bool,
    first: bool,
    id: String,
    event: String,
    data: String,
    has_data: bool,
}

impl Parser {
    /// A parser that takes events of at most `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Parser {
        Parser {
            max,
            line: Vec::new(),
            after_cr: false,
            first: true,
            id: String::new(),
            event: String::new(),
            data: String::new(),
            has_data: false,
        }
    }

    /// Takes bytes; gives what they complete. A stray line without a line end is found too when it
    /// is asked for with [`Parser::rest`].
    ///
    /// # Errors
    /// [`TooLarge`]; the stream must be given up.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Found>, TooLarge> {
        let mut found = Vec::new();
        for &byte in bytes {
            let follows_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if follows_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    self.end_line(&line, &mut found);
                }
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > self.max {
                return Err(TooLarge(self.max));
            }
        }
        Ok(found)
    }

    /// What stands in the last, unfinished line.
    #[must_use]
    pub fn rest(&self) -> String {
        String::from_utf8_lossy(&self.line).into_owned()
    }

    fn end_line(&mut self, line: &[u8], found: &mut Vec<Found>) {
        let line = String::from_utf8_lossy(line);
        let line = if std::mem::take(&mut self.first) {
            line.trim_start_matches('\u{feff}')
        } else {
            &line
        };
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            let event = std::mem::take(&mut self.event);
            let id = std::mem::take(&mut self.id);
            if std::mem::take(&mut self.has_data) {
                let event = if event.is_empty() {
                    "message".to_owned()
                } else {
                    event
                };
                found.push(Found::Event(Event { id, event, data }));
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" | "retry" => {}
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.has_data = true;
                self.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.event),
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "id" => {}
            _ => found.push(Found::Stray(line.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}event: ping\r\ndata: 0\r\n\r\n: a comment\n\nid: 7\nevent: X\ndata: {\"a\":\"ü😀\"}\ndata: second\n\nJwt is expired\n";

    fn expected() -> Vec<Found> {
        vec![
            Found::Event(Event {
                id: String::new(),
                event: "ping".into(),
                data: "0".into(),
            }),
            Found::Event(Event {
                id: "7".into(),
                event: "X".into(),
                data: "{\"a\":\"ü😀\"}\nsecond".into(),
            }),
            Found::Stray("Jwt is expired".into()),
        ]
    }

    #[test]
    fn the_same_events_however_the_bytes_are_cut() {
        let bytes = STREAM.as_bytes();
        for first in 0..bytes.len() {
            for second in [
                first,
                (first + 1).min(bytes.len()),
                (first + 7).min(bytes.len()),
            ] {
                let mut parser = Parser::new(1_000);
                let mut found = parser.feed(&bytes[..first]).unwrap();
                found.extend(parser.feed(&bytes[first..second]).unwrap());
                found.extend(parser.feed(&bytes[second..]).unwrap());
                assert_eq!(found, expected(), "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut parser = Parser::new(100);
        assert_eq!(parser.feed(&[b'x'; 101]), Err(TooLarge(100)));
        let mut parser = Parser::new(100);
        let lines = "data: 0123456789\n".repeat(20);
        assert_eq!(parser.feed(lines.as_bytes()), Err(TooLarge(100)));
    }
}
