//! What surrounds the objects: properties, pipelines, owners, the account, and sign-in.

use handoffd_contract::sandbox::{Request, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::answer::{
    Answer, error, invalid, malformed, no_route, not_found, only, unauthorized, wrong_method,
};
use super::schema::{Kind, OWNERS, Owner, PIPELINES, Pipeline, Property, link_type};
use super::{APP_ID, CLIENT_ID, CLIENT_SECRET, PORTAL_ID, Portal, REFRESH_TOKEN, TOKEN};

/// How long an access token lasts, in seconds.
const TOKEN_SECONDS: i64 = 1_800;

/// How many access tokens are remembered.
const MAX_TOKENS: usize = 1_000;

impl Portal {
    /// Whether the request is signed in; counts nothing.
    pub(super) fn authenticate(&self, now: Timestamp, request: &Request) -> Result<(), Response> {
        let header = request.header("authorization").unwrap_or_default();
        let Some(token) = header.strip_prefix("Bearer ") else {
            return Err(unauthorized(false));
        };
        match self.tokens.get(token) {
            Some(until) if now < *until => Ok(()),
            Some(_) => Err(unauthorized(true)),
            None if token == TOKEN && self.switches.token_valid => Ok(()),
            None => Err(unauthorized(false)),
        }
    }

    /// `/oauth/…/token`, `…/introspect`, `…/revoke`; a form body, never the query.
    /// <https://developers.hubspot.com/changelog/new-oauth-v3-api-endpoints-and-standardized-error-responses>
    pub(super) fn oauth(&mut self, now: Timestamp, request: &Request, rest: &[&str]) -> Answer {
        if request.method != "POST" {
            return Err(wrong_method());
        }
        let form = request
            .form()
            .ok_or_else(|| error(415, "VALIDATION_ERROR", "a form body is expected"))?;
        let field = |name: &str| {
            form.iter()
                .find(|(n, _)| n == name)
                .map_or("", |(_, value)| value.as_str())
        };
        let failed = |status: &str, code: &str, words: &str| {
            let body = json!({"error": code, "error_description": words, "status": status, "message": words,
                "correlationId": "0a1b2c3d-0000-4000-8000-00000000cafe"});
            Response::json(400, &body)
        };
        match rest {
            ["token"] => {
                if field("client_id") != CLIENT_ID {
                    return Err(failed(
                        "BAD_CLIENT_ID",
                        "invalid_client",
                        "missing or unknown client id",
                    ));
                }
                if field("client_secret") != CLIENT_SECRET {
                    return Err(failed(
                        "BAD_CLIENT_SECRET",
                        "invalid_client",
                        "missing or invalid client secret",
                    ));
                }
                if field("grant_type") != "refresh_token" {
                    return Err(failed(
                        "BAD_GRANT_TYPE",
                        "unsupported_grant_type",
                        "only refresh_token is served here",
                    ));
                }
                if field("refresh_token") != REFRESH_TOKEN || self.switches.grant_revoked {
                    return Err(failed(
                        "BAD_REFRESH_TOKEN",
                        "invalid_grant",
                        "refresh token is invalid, expired or revoked",
                    ));
                }
                self.issued += 1;
                let token = format!("oauth-access-{:06}", self.issued);
                if self.tokens.len() >= MAX_TOKENS {
                    self.tokens.pop_first();
                }
                self.tokens.insert(
                    token.clone(),
                    now + SignedDuration::from_secs(TOKEN_SECONDS),
                );
                Ok(Response::json(
                    200,
                    &json!({
                        "token_use": "access_token", "token_type": "bearer", "access_token": token, "refresh_token": REFRESH_TOKEN,
                        "expires_in": TOKEN_SECONDS, "hub_id": PORTAL_ID, "user_id": OWNERS[0].1, "scopes": self.switches.scopes,
                    }),
                ))
            }
            ["token", "introspect"] => {
                let active = self
                    .tokens
                    .get(field("token"))
                    .is_some_and(|until| now < *until);
                Ok(Response::json(
                    200,
                    &json!({
                        "active": active, "token_use": "access_token", "hub_id": PORTAL_ID, "app_id": APP_ID, "scopes": self.switches.scopes,
                    }),
                ))
            }
            ["token", "revoke"] => {
                self.tokens.remove(field("token"));
                Ok(Response::empty(204))
            }
            _ => Err(no_route()),
        }
    }

    pub(super) fn account(&self, request: &Request) -> Answer {
        self.params(request, &[])?;
        Ok(Response::json(
            200,
            &json!({
                "portalId": PORTAL_ID, "accountType": "SANDBOX", "timeZone": "Europe/Amsterdam", "companyCurrency": "EUR",
                "additionalCurrencies": [], "utcOffset": "+01:00", "utcOffsetMilliseconds": 3_600_000, "uiDomain": "app.hubspot.com",
                "dataHostingLocation": "na1",
            }),
        ))
    }

    pub(super) fn owners(&self, request: &Request, rest: &[&str]) -> Answer {
        self.scope("crm.objects.owners.read")?;
        let shown = |owner: &Owner| {
            json!({"id": owner.0, "userId": owner.1, "firstName": owner.2, "lastName": owner.3, "email": owner.4, "type": "PERSON",
                "archived": false, "createdAt": "2026-01-05T09:00:00.000Z", "updatedAt": "2026-01-05T09:00:00.000Z", "teams": []})
        };
        match (request.method.as_str(), rest) {
            ("GET", []) => {
                self.params(request, &["email", "limit", "after", "archived"])?;
                let wanted = request.param("email");
                let found = OWNERS
                    .iter()
                    .filter(|owner| wanted.is_none_or(|email| owner.4.eq_ignore_ascii_case(email)));
                Ok(Response::json(
                    200,
                    &json!({"results": found.map(shown).collect::<Vec<_>>()}),
                ))
            }
            ("GET", [id]) => {
                self.params(request, &["idProperty", "archived"])?;
                let by_user = request.param("idProperty") == Some("userId");
                let is = |owner: &&Owner| {
                    if by_user {
                        owner.1.to_string() == *id
                    } else {
                        owner.0 == *id
                    }
                };
                let owner = OWNERS
                    .iter()
                    .find(is)
                    .ok_or_else(|| not_found("No owner with this id"))?;
                Ok(Response::json(200, &shown(owner)))
            }
            _ => Err(wrong_method()),
        }
    }

    pub(super) fn pipelines(&self, request: &Request, rest: &[&str]) -> Answer {
        self.scope("tickets")?;
        self.params(request, &[])?;
        let shown = |pipeline: &Pipeline| {
            let stages: Vec<Value> = pipeline
                .stages
                .iter()
                .enumerate()
                .map(|(n, (id, label, open))| {
                    json!({"id": id, "label": label, "displayOrder": n, "archived": false, "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
                        "metadata": {"ticketState": if *open { "OPEN" } else { "CLOSED" }, "isClosed": (!open).to_string()},
                        "createdAt": "2026-01-05T09:00:00.000Z", "updatedAt": "2026-01-05T09:00:00.000Z"})
                })
                .collect();
            json!({"id": pipeline.id, "label": pipeline.label, "displayOrder": 0, "archived": false, "stages": stages,
                "createdAt": "2026-01-05T09:00:00.000Z", "updatedAt": "2026-01-05T09:00:00.000Z"})
        };
        let one = |id: &str| {
            PIPELINES
                .iter()
                .find(|pipeline| pipeline.id == id)
                .ok_or_else(|| not_found("No pipeline with this id"))
        };
        match (request.method.as_str(), rest) {
            ("GET", []) => Ok(Response::json(
                200,
                &json!({"results": PIPELINES.iter().map(shown).collect::<Vec<_>>()}),
            )),
            ("GET", [id]) => Ok(Response::json(200, &shown(one(id)?))),
            ("GET", [id, "stages", stage]) => {
                let pipeline = shown(one(id)?);
                let stages = pipeline["stages"].as_array().into_iter().flatten();
                let stage = stages
                    .into_iter()
                    .find(|one| one["id"] == json!(stage))
                    .ok_or_else(|| not_found("No stage with this id"))?;
                Ok(Response::json(200, stage))
            }
            ("GET", [id, "stages"]) => Ok(Response::json(
                200,
                &json!({"results": shown(one(id)?)["stages"]}),
            )),
            _ => Err(wrong_method()),
        }
    }

    pub(super) fn association_labels(&self, request: &Request, from: &str, to: &str) -> Answer {
        self.params(request, &[])?;
        let (Some(from), Some(to)) = (Kind::parse(from), Kind::parse(to)) else {
            return Err(no_route());
        };
        let label =
            json!({"category": "HUBSPOT_DEFINED", "typeId": link_type(from, to), "label": null});
        Ok(Response::json(200, &json!({"results": [label]})))
    }

    pub(super) fn properties(&mut self, request: &Request, kind: Kind, rest: &[&str]) -> Answer {
        match (request.method.as_str(), rest) {
            ("GET", []) => {
                self.params(request, &["archived", "properties", "dataSensitivity"])?;
                let all = self
                    .schema
                    .properties
                    .iter()
                    .filter(|((of, _), _)| *of == kind);
                let results: Vec<Value> = all
                    .map(|((_, name), property)| property.json(name))
                    .collect();
                Ok(Response::json(200, &json!({"results": results})))
            }
            ("GET", ["groups"]) => {
                self.params(request, &[])?;
                let all = self.schema.groups.iter().filter(|((of, _), _)| *of == kind);
                let results: Vec<Value> = all.map(|((_, name), label)| json!({"name": name, "label": label, "archived": false})).collect();
                Ok(Response::json(200, &json!({"results": results})))
            }
            ("GET", [name]) => {
                self.params(
                    request,
                    &["archived", "properties", "dataSensitivity", "locale"],
                )?;
                let property = self.schema.get(kind, name).ok_or_else(|| {
                    not_found(&format!("Property with name {name} does not exist"))
                })?;
                Ok(Response::json(200, &property.json(name)))
            }
            ("POST", []) => {
                self.write_schema(kind)?;
                let body = self.body(request)?;
                self.add_property(kind, &body)
            }
            ("GET", ["groups", name]) => {
                self.params(request, &[])?;
                let label = self.schema.groups.get(&(kind, (*name).to_owned()));
                let label = label.ok_or_else(|| not_found("No property group with this name"))?;
                Ok(Response::json(
                    200,
                    &json!({"name": name, "label": label, "archived": false}),
                ))
            }
            ("POST", ["batch", action]) => {
                let body = self.body(request)?;
                self.property_batch(kind, action, &body)
            }
            ("PATCH", [name]) => {
                self.write_schema(kind)?;
                let body = self.body(request)?;
                self.change_property(kind, name, &body)
            }
            ("DELETE", [name]) => {
                self.write_schema(kind)?;
                self.drop_property(kind, name)?;
                Ok(Response::empty(204))
            }
            ("POST", ["groups"]) => {
                self.write_schema(kind)?;
                let body = self.body(request)?;
                only(&body, &["name", "label", "displayOrder"])?;
                let (Some(name), Some(label)) = (body["name"].as_str(), body["label"].as_str())
                else {
                    return Err(malformed("name and label are required"));
                };
                if self.schema.groups.contains_key(&(kind, name.to_owned())) {
                    return Err(error(
                        409,
                        "OBJECT_ALREADY_EXISTS",
                        &format!("A property group named '{name}' already exists."),
                    ));
                }
                self.schema
                    .groups
                    .insert((kind, name.to_owned()), label.to_owned());
                Ok(Response::json(
                    201,
                    &json!({"name": name, "label": label, "displayOrder": -1, "archived": false}),
                ))
            }
            _ => Err(wrong_method()),
        }
    }

    pub(super) fn write_schema(&self, kind: Kind) -> Result<(), Response> {
        self.scope(match kind {
            Kind::Contact => "crm.schemas.contacts.write",
            _ => "tickets",
        })
    }

    /// Defines a property: as an API client, and as an administrator in the portal.
    pub(super) fn add_property(&mut self, kind: Kind, body: &Value) -> Answer {
        only(
            body,
            &[
                "name",
                "label",
                "groupName",
                "type",
                "fieldType",
                "hasUniqueValue",
                "options",
                "description",
                "displayOrder",
                "hidden",
                "formField",
                "referencedObjectType",
                "calculationFormula",
                "externalOptions",
                "dataSensitivity",
            ],
        )?;
        let text = |name: &str| body[name].as_str().filter(|text| !text.is_empty());
        let (Some(name), Some(label), Some(group), Some(of), Some(field)) = (
            text("name"),
            text("label"),
            text("groupName"),
            text("type"),
            text("fieldType"),
        ) else {
            return Err(malformed(
                "name, label, groupName, type and fieldType are required",
            ));
        };
        if ![
            "string",
            "number",
            "date",
            "datetime",
            "enumeration",
            "bool",
            "phone_number",
        ]
        .contains(&of)
        {
            return Err(invalid(format!("{of} is not a property type")));
        }
        if !self.schema.groups.contains_key(&(kind, group.to_owned())) {
            return Err(invalid(format!(
                "The property group \"{group}\" does not exist"
            )));
        }
        if self.schema.get(kind, name).is_some() {
            return Err(error(
                409,
                "OBJECT_ALREADY_EXISTS",
                &format!("A property named '{name}' already exists."),
            ));
        }
        let unique = body["hasUniqueValue"] == json!(true);
        let held = self
            .schema
            .properties
            .iter()
            .filter(|((of, _), property)| *of == kind && property.unique)
            .count();
        if unique && held >= 10 {
            return Err(invalid(
                "There are already 10 properties with unique values",
            ));
        }
        let options = body["options"].as_array().into_iter().flatten();
        let property = Property {
            label: label.to_owned(),
            group: group.to_owned(),
            kind: of.to_owned(),
            field: field.to_owned(),
            unique,
            read_only: false,
            custom: true,
            options: options
                .filter_map(|option| option["value"].as_str())
                .map(str::to_owned)
                .collect(),
            captions: super::definitions::captions(&body["options"]),
        };
        let shown = property.json(name);
        self.schema
            .properties
            .insert((kind, name.to_owned()), property);
        Ok(Response::json(201, &shown))
    }
}
