//! What clients read and set of the account and the number beside messages.

use handoffd_contract::sandbox::{Request, Response};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::node::{Node, missing};
use super::{Meta, NUMBER_ID, WABA};

/// The most users of one request to block.
const MAX_BLOCKED: usize = 1_000;

/// What of the account can be set.
#[derive(Debug, Default)]
pub(super) struct Account {
    profile: Map<String, Value>,
    /// The callback that overrides the app's, if one is set; the app is subscribed when it is there.
    subscribed: Option<Value>,
}

/// Fields of a business profile, with the most characters where it is a text.
/// <https://developers.facebook.com/docs/whatsapp/cloud-api/reference/business-profiles>
const PROFILE: &[(&str, usize)] = &[
    ("about", 139),
    ("address", 256),
    ("description", 512),
    ("email", 128),
    ("vertical", 64),
    ("profile_picture_handle", 2_048),
];

/// Which endpoint it is, with its answer; `None` where it is none of these.
pub(super) fn answer(
    meta: &mut Meta,
    now: Timestamp,
    request: &Request,
    path: &[&str],
) -> Option<Result<Response, Fault>> {
    let method = request.method.as_str();
    let (id, edge) = match path {
        [id] => (*id, ""),
        [id, edge] => (*id, *edge),
        _ => return None,
    };
    Some(match (method, id, edge) {
        ("GET", WABA, "") => picked(request, &account(), "WhatsAppBusinessAccount"),
        ("GET", NUMBER_ID, "") => picked(request, &number(), "WhatsAppBusinessPhoneNumber"),
        ("GET", WABA, "phone_numbers") => picked(request, &number(), "WhatsAppBusinessPhoneNumber")
            .map(|one| {
                let one: Value = serde_json::from_slice(&one.body).unwrap_or_default();
                Response::json(200, &json!({"data": [one], "paging": paging()}))
            }),
        ("GET", NUMBER_ID, "whatsapp_business_profile") => profile(meta, request),
        ("POST", NUMBER_ID, "whatsapp_business_profile") => set_profile(meta, request),
        ("GET", WABA, "subscribed_apps") => Ok(apps(meta)),
        ("POST", WABA, "subscribed_apps") => subscribe(meta, request),
        ("DELETE", WABA, "subscribed_apps") => {
            meta.account.subscribed = None;
            Ok(success())
        }
        ("GET", NUMBER_ID, "block_users") => Ok(blocked(meta)),
        ("POST" | "DELETE", NUMBER_ID, "block_users") => block(meta, now, request),
        _ => return None,
    })
}

fn success() -> Response {
    Response::json(200, &json!({"success": true}))
}

fn paging() -> Value {
    json!({"cursors": {"before": "MAZDZD", "after": "MAZDZD"}})
}

fn account() -> Value {
    json!({
        "id": WABA,
        "name": "Sandbox Shop",
        "timezone_id": "1",
        "message_template_namespace": "5ab1e000_0000_4000_8000_000000000001",
        "currency": "EUR",
        "account_review_status": "APPROVED",
        "business_verification_status": "verified",
        "status": "ACTIVE",
        "country": "US",
        "ownership_type": "SELF",
        "is_enabled_for_insights": true,
    })
}

/// Documented fields that have no value here: who asks for them gets nothing, as of a value that is not set.
/// <https://developers.facebook.com/docs/graph-api/reference/whats-app-business-account/>
/// <https://developers.facebook.com/docs/graph-api/reference/whats-app-business-account-to-number-current-status/>
const UNSET: &[&str] = &[
    "certificate",
    "conversational_automation",
    "disable_marketing_messages_on_cloud_api",
    "eligibility_for_api_business_global_search",
    "health_status",
    "last_onboarded_time",
    "marketing_messages_lite_api_status",
    "marketing_messages_onboarding_status",
    "new_certificate",
    "new_name_status",
    "on_behalf_of_business_info",
    "owner_business_info",
    "search_visibility",
    "subscribed_apps",
    "username",
    "webhook_configuration",
];

fn number() -> Value {
    json!({
        "id": NUMBER_ID,
        "display_phone_number": "+1 555-078-3881",
        "verified_name": "Sandbox Shop",
        "quality_rating": "GREEN",
        "code_verification_status": "VERIFIED",
        "platform_type": "CLOUD_API",
        "name_status": "APPROVED",
        "status": "CONNECTED",
        "account_mode": "LIVE",
        "throughput": {"level": "STANDARD"},
        "quality_score": {"score": "GREEN"},
        "is_official_business_account": false,
        "is_on_biz_app": false,
        "is_pin_enabled": true,
        "is_preverified_number": false,
        "country_code": "US",
        "country_dial_code": "1",
        "whatsapp_business_manager_messaging_limit": "TIER_2K",
    })
}

/// The fields that are asked for, or all.
fn picked(request: &Request, all: &Value, node: &str) -> Result<Response, Fault> {
    let Some(fields) = request.param("fields") else {
        return Ok(Response::json(200, all));
    };
    let mut picked = Map::new();
    picked.insert("id".into(), all["id"].clone());
    let fields = fields.split(',').map(str::trim);
    for field in fields.filter(|field| !UNSET.contains(field)) {
        let value = all.get(field).ok_or_else(|| {
            Fault::invalid(format!(
                "Tried accessing nonexisting field ({field}) on node type ({node})"
            ))
        })?;
        picked.insert(field.to_owned(), value.clone());
    }
    Ok(Response::json(200, &Value::Object(picked)))
}

fn profile(meta: &Meta, request: &Request) -> Result<Response, Fault> {
    let known = |field: &str| {
        let others = ["websites", "profile_picture_url", "messaging_product"];
        PROFILE.iter().any(|(name, _)| *name == field) || others.contains(&field)
    };
    let mut shown = Map::new();
    let fields = request.param("fields").unwrap_or_default();
    for field in fields.split(',').map(str::trim).filter(|f| !f.is_empty()) {
        if !known(field) {
            return Err(Fault::invalid(format!(
                "Tried accessing nonexisting field ({field})"
            )));
        }
        let value = meta.account.profile.get(field);
        shown.extend(value.map(|value| (field.to_owned(), value.clone())));
    }
    if fields.contains("vertical") {
        shown.entry("vertical").or_insert_with(|| "OTHER".into());
    }
    shown.insert("messaging_product".into(), "whatsapp".into());
    Ok(Response::json(200, &json!({"data": [shown]})))
}

fn set_profile(meta: &mut Meta, request: &Request) -> Result<Response, Fault> {
    let body = body(request)?;
    let root = Node::of(&body, "")?;
    product(&root)?;
    let mut allowed: Vec<&str> = PROFILE.iter().map(|(name, _)| *name).collect();
    allowed.extend(["messaging_product", "websites"]);
    root.only(&allowed)?;
    let mut set = Map::new();
    for (name, most) in PROFILE {
        let text = root.text(name, 0, *most)?;
        set.extend(text.map(|text| ((*name).to_owned(), text.into())));
    }
    if let Some(websites) = root.map.get("websites") {
        let sites = websites.as_array().filter(|sites| sites.len() <= 2);
        let sites = sites.filter(|sites| sites.iter().all(Value::is_string));
        let sites = sites.ok_or_else(|| Fault::invalid("Param websites must hold 0 to 2 URLs."))?;
        set.insert("websites".into(), sites.clone().into());
    }
    meta.account.profile.extend(set);
    Ok(success())
}

fn apps(meta: &Meta) -> Response {
    let app =
        json!({"link": "https://www.facebook.com/games/?app_id=1", "name": "Sandbox", "id": "1"});
    let list: Vec<Value> = meta
        .account
        .subscribed
        .iter()
        .map(|callback| {
            let mut one = json!({"whatsapp_business_api_data": app});
            if let Some(address) = callback.as_str() {
                one["override_callback_uri"] = address.into();
            }
            one
        })
        .collect();
    Response::json(200, &json!({"data": list}))
}

fn subscribe(meta: &mut Meta, request: &Request) -> Result<Response, Fault> {
    let mut callback = Value::Null;
    if !request.body.is_empty() {
        let body = body(request)?;
        let root = Node::of(&body, "")?;
        root.only(&["override_callback_uri", "verify_token"])?;
        if let Some(address) = root.text("override_callback_uri", 1, 2_048)? {
            root.need("verify_token", 512)?;
            callback = address.into();
        }
    }
    meta.account.subscribed = Some(callback);
    Ok(success())
}

fn blocked(meta: &Meta) -> Response {
    let phones = meta.phones.0.iter().filter(|phone| phone.shut_out);
    let users: Vec<Value> = phones
        .map(|phone| {
            json!({"messaging_product": "whatsapp", "input": phone.key(), "wa_id": phone.wa_id, "user_id": phone.user_id})
        })
        .collect();
    Response::json(200, &json!({"data": users, "paging": paging()}))
}

/// Blocks users, or lets them in again.
/// <https://developers.facebook.com/docs/whatsapp/cloud-api/block-users>
fn block(meta: &mut Meta, now: Timestamp, request: &Request) -> Result<Response, Fault> {
    let shuts = request.method == "POST";
    let body = body(request)?;
    let root = Node::of(&body, "")?;
    product(&root)?;
    root.only(&["messaging_product", "block_users"])?;
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for user in root.list("block_users", 1, MAX_BLOCKED)? {
        user.only(&["user", "user_id"])?;
        let input = match (user.text("user", 1, 40)?, user.text("user_id", 1, 160)?) {
            (Some(number), _) => number.to_owned(),
            (None, Some(id)) => id.to_owned(),
            (None, None) => return Err(missing("block_users['user']")),
        };
        let digits: String = input.chars().filter(char::is_ascii_digit).collect();
        let who = meta
            .phones
            .find(&input)
            .or_else(|| meta.phones.find(&digits));
        let phone = who.map(|who| &mut meta.phones.0[who]);
        match phone {
            // Only who has written within the last 24 hours can be blocked.
            Some(phone) if !shuts || phone.window_open(now) => {
                phone.shut_out = shuts;
                done.push(json!({"input": input, "wa_id": phone.wa_id}));
            }
            _ => {
                failed.push(json!({"input": input, "errors": [{
                "message": "Re-engagement required", "code": 131047,
                "error_data": {"details": "The user has not written within the last 24 hours."}}]}))
            }
        }
    }
    let mut users = json!({});
    let word = if shuts {
        "added_users"
    } else {
        "removed_users"
    };
    users[word] = done.into();
    if !failed.is_empty() {
        users["failed_users"] = failed.into();
    }
    let answer = json!({"messaging_product": "whatsapp", "block_users": users});
    Ok(Response::json(200, &answer))
}

fn body(request: &Request) -> Result<Value, Fault> {
    let body = request.json();
    body.ok_or_else(|| Fault::invalid("The body must be JSON."))
}

fn product(root: &Node<'_>) -> Result<(), Fault> {
    match root.text("messaging_product", 1, 32)? {
        Some("whatsapp") => Ok(()),
        _ => Err(Fault::invalid(
            "The parameter messaging_product is required and must be \"whatsapp\".",
        )),
    }
}
