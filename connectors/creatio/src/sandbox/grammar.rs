//! The grammar of `$filter`, and what live sites refuse of it.

use jiff::Timestamp;

use super::fault::Fault;
use super::filter::{Filter, Function, Literal, Op, Path};
use super::schema::{Kind, Schema};
use crate::standard::ZERO;
use crate::wire;

/// Nodes of a filter's syntax tree, as the server's library counts them.
const NODES: usize = 100;

impl Filter {
    /// Parses and checks a filter.
    pub(super) fn parse(text: &str, entity: &str, schema: &Schema) -> Result<Filter, Fault> {
        let tokens = tokens(text)?;
        let mut parser = Parser {
            tokens,
            at: 0,
            entity,
            schema,
            nodes: 0,
            depth: 0,
        };
        let filter = parser.or()?;
        if parser.at < parser.tokens.len() {
            return Err(syntax(&format!(
                "unexpected token at position {}",
                parser.at
            )));
        }
        if parser.nodes > NODES {
            return Err(Fault::odata(
                400,
                format!(
                    "The query specified in the URI is not valid. The node count limit of '{NODES}' has been exceeded. \
                     To increase the limit, set the 'MaxNodeCount' property on EnableQueryAttribute or ODataValidationSettings."
                ),
            ));
        }
        Ok(filter)
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    Text(String),
    Word(String),
}

fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        match c {
            '(' | ')' | ',' => {
                tokens.push(match c {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    _ => Token::Comma,
                });
                rest = &rest[1..];
            }
            '\'' => {
                let mut literal = String::new();
                rest = &rest[1..];
                loop {
                    let Some(end) = rest.find('\'') else {
                        return Err(syntax("there is an unterminated string literal"));
                    };
                    literal.push_str(&rest[..end]);
                    rest = &rest[end + 1..];
                    match rest.strip_prefix('\'') {
                        Some(more) => {
                            literal.push('\'');
                            rest = more;
                        }
                        None => break,
                    }
                }
                tokens.push(Token::Text(literal));
            }
            _ => {
                let end = rest
                    .find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '\''))
                    .unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                rest = &rest[end..];
            }
        }
        rest = rest.trim_start();
        if tokens.len() > 4_000 {
            return Err(syntax("the expression is too long"));
        }
    }
    Ok(tokens)
}

fn syntax(what: &str) -> Fault {
    Fault::odata(
        400,
        format!("The query specified in the URI is not valid. Syntax error: {what}."),
    )
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    entity: &'a str,
    schema: &'a Schema,
    nodes: usize,
    depth: usize,
}

/// A path as written, with the kind of its column.
type Found = (Path, Kind);

impl Parser<'_> {
    fn peek_word(&self) -> Option<&str> {
        match self.tokens.get(self.at) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn expect(&mut self, token: &Token) -> Result<(), Fault> {
        if self.take().as_ref() == Some(token) {
            Ok(())
        } else {
            Err(syntax("a bracket or comma is missing"))
        }
    }

    fn or(&mut self) -> Result<Filter, Fault> {
        let mut left = self.and()?;
        while self.peek_word() == Some("or") {
            self.at += 1;
            self.nodes += 1;
            left = Filter::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Filter, Fault> {
        let mut left = self.term()?;
        while self.peek_word() == Some("and") {
            self.at += 1;
            self.nodes += 1;
            left = Filter::And(Box::new(left), Box::new(self.term()?));
        }
        Ok(left)
    }

    fn term(&mut self) -> Result<Filter, Fault> {
        self.depth += 1;
        if self.depth > NODES {
            return Err(syntax("the expression is too deep"));
        }
        let term = self.bare_term();
        self.depth -= 1;
        term
    }

    fn bare_term(&mut self) -> Result<Filter, Fault> {
        match self.take() {
            Some(Token::Open) => {
                let inner = self.or()?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Some(Token::Word(word)) if word == "not" => {
                self.nodes += 1;
                Ok(Filter::Not(Box::new(self.term()?)))
            }
            Some(Token::Word(word)) => {
                let function = match word.as_str() {
                    "startswith" => Some(Function::StartsWith),
                    "endswith" => Some(Function::EndsWith),
                    "contains" => Some(Function::Contains),
                    _ => None,
                };
                match function {
                    Some(function) => self.call(function),
                    None if self.tokens.get(self.at) == Some(&Token::Open) => Err(Fault::odata(
                        400,
                        format!(
                            "The query specified in the URI is not valid. An unknown function with name '{word}' was found."
                        ),
                    )),
                    None => self.comparison(&word),
                }
            }
            _ => Err(syntax("an expression was expected")),
        }
    }

    fn call(&mut self, function: Function) -> Result<Filter, Fault> {
        self.expect(&Token::Open)?;
        let Some(Token::Word(path)) = self.take() else {
            return Err(syntax("a property was expected"));
        };
        let (path, kind) = self.path(&path)?;
        self.expect(&Token::Comma)?;
        let Some(Token::Text(part)) = self.take() else {
            return Err(syntax("a string was expected"));
        };
        self.expect(&Token::Close)?;
        self.nodes += 3 + path.steps.len();
        if !matches!(kind, Kind::Text(_)) {
            return Err(Fault::odata(
                400,
                "The query specified in the URI is not valid. No function signature for the function matches the specified arguments.",
            ));
        }
        // `startswith(…) eq true` is the same.
        if self.peek_word() == Some("eq")
            && self.tokens.get(self.at + 1) == Some(&Token::Word("true".into()))
        {
            self.at += 2;
        }
        Ok(Filter::Text(function, path, part))
    }

    fn comparison(&mut self, word: &str) -> Result<Filter, Fault> {
        let (path, kind) = self.path(word)?;
        let op = match self.take() {
            Some(Token::Word(op)) => match op.as_str() {
                "eq" => Op::Eq,
                "ne" => Op::Ne,
                "gt" => Op::Gt,
                "ge" => Op::Ge,
                "lt" => Op::Lt,
                "le" => Op::Le,
                // `in` among them.
                _ => return Err(syntax(&format!("'{op}' is not supported"))),
            },
            _ => return Err(syntax("an operator was expected")),
        };
        let literal = match self.take() {
            Some(Token::Text(text)) => Literal::Text(text),
            Some(Token::Word(word)) => literal(&word)?,
            _ => return Err(syntax("a value was expected")),
        };
        self.nodes += 5 + path.steps.len();
        let fits = matches!(
            (&kind, &literal),
            (_, Literal::Null)
                | (Kind::Guid | Kind::Lookup(_), Literal::Guid(_))
                | (Kind::Text(_), Literal::Text(_))
                | (Kind::Date, Literal::Date(_))
                | (Kind::Bool, Literal::Bool(_))
                | (Kind::Int, Literal::Number(_))
        );
        if !fits {
            let edm = |kind: &Kind| match kind {
                Kind::Text(_) => "Edm.String",
                Kind::Guid | Kind::Lookup(_) => "Edm.Guid",
                Kind::Date => "Edm.DateTimeOffset",
                Kind::Bool => "Edm.Boolean",
                Kind::Int => "Edm.Int32",
                Kind::Stream => "Edm.Stream",
            };
            let other = match literal {
                Literal::Guid(_) => "Edm.Guid",
                Literal::Text(_) => "Edm.String",
                Literal::Date(_) => "Edm.DateTimeOffset",
                Literal::Number(_) => "Edm.Int32",
                Literal::Bool(_) => "Edm.Boolean",
                Literal::Null => "Edm.Null",
            };
            return Err(Fault::odata(
                400,
                format!(
                    "The query specified in the URI is not valid. A binary operator with incompatible types was detected. \
                     Found operand types '{}' and '{other}' for operator kind '{op:?}'.",
                    edm(&kind)
                ),
            ));
        }
        Ok(Filter::Compare(op, path, literal))
    }

    /// Checks a path. A foreign key by its own column is what live sites answer with 500.
    fn path(&self, word: &str) -> Result<Found, Fault> {
        let parts: Vec<&str> = word.split('/').collect();
        let (column, navigation) = match parts.split_last() {
            Some((column, navigation)) => (*column, navigation),
            None => return Err(syntax("a property was expected")),
        };
        let mut entity = self.entity;
        let unknown = |name: &str, entity: &str| {
            Fault::odata(
                400,
                format!(
                    "The query specified in the URI is not valid. Could not find a property named '{name}' on type \
                     'Terrasoft.Configuration.OData.{entity}'."
                ),
            )
        };
        let mut steps = Vec::new();
        for name in navigation {
            let (target, key) = self
                .schema
                .navigate(entity, name)
                .ok_or_else(|| unknown(name, entity))?;
            steps.push((key.to_owned(), target.to_owned()));
            entity = target;
        }
        let found = self
            .schema
            .column(entity, column)
            .ok_or_else(|| unknown(column, entity))?;
        if matches!(found.kind, Kind::Lookup(_)) {
            return Err(Fault::odata(
                500,
                format!("Column by path {column} not found in schema {entity}."),
            ));
        }
        Ok((
            Path {
                steps,
                column: column.to_owned(),
            },
            found.kind.clone(),
        ))
    }
}

fn literal(word: &str) -> Result<Literal, Fault> {
    let lower = word.to_ascii_lowercase();
    Ok(match lower.as_str() {
        "true" => Literal::Bool(true),
        "false" => Literal::Bool(false),
        "null" => Literal::Null,
        ZERO => Literal::Guid(lower),
        _ => {
            if let Some(id) = wire::guid(word).filter(|id| *id == lower) {
                Literal::Guid(id)
            } else if let Ok(number) = word.parse() {
                Literal::Number(number)
            } else if let Ok(at) = word.parse::<Timestamp>() {
                Literal::Date(at)
            } else {
                return Err(syntax(&format!(
                    "the literal at '{}' is not understood",
                    lower.chars().take(40).collect::<String>()
                )));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(entity: &str, filter: &str) -> u16 {
        Filter::parse(filter, entity, &Schema::new()).map_or_else(|fault| fault.status, |_| 200)
    }

    #[test]
    fn live_sites_rules_are_enforced() {
        let id = "1f2e3d4c-0000-4000-8000-0123456789ab";
        let table = [
            (
                "Case",
                format!("Contact/Id eq {id} and Status/IsFinal eq false"),
                200,
            ),
            (
                "Activity",
                format!("Case/Id eq {id} and CreatedOn gt 2026-11-20T09:00:00Z"),
                200,
            ),
            (
                "ContactCommunication",
                "startswith(SearchNumber,'222') and NonActual eq false".into(),
                200,
            ),
            (
                "Contact",
                "Name eq 'O''Neil' or (not contains(Name,'x'))".into(),
                200,
            ),
            ("SocialMessage", format!("EntityId eq {id}"), 200),
            ("ActivityFile", format!("Activity/Case/Id eq {id}"), 200),
            ("Activity", format!("CaseId eq {id}"), 500),
            ("Case", format!("Id eq '{id}'"), 400),
            ("Case", format!("Id eq guid'{id}'"), 400),
            ("Case", format!("Id in ({id})"), 400),
            ("Case", "Nonsense eq 1".into(), 400),
            ("Case", "Status/Nonsense eq 1".into(), 400),
            ("Case", "Subject eq 'open".into(), 400),
            ("Case", "Subject eq 1".into(), 400),
            ("Case", "(Subject eq 'a'".into(), 400),
            ("Case", "tolower(Subject) eq 'a'".into(), 400),
            ("Case", vec![format!("Id eq {id}"); 15].join(" or "), 200),
            ("Case", vec![format!("Id eq {id}"); 18].join(" or "), 400),
            ("Case", "(".repeat(3_000), 400),
        ];
        for (entity, filter, status) in table {
            assert_eq!(verdict(entity, &filter), status, "{filter}");
        }
    }
}
