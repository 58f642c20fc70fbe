//! The REST API of the centre: one table of operations, which routes and the OpenAPI document are made of. Codes stand in
//! bodies, never in addresses: addresses are written into logs.

use licence::code::ActivationCode;
use licence::error::{Code, Error, Result};
use licence::{KeyId, KeyNo, RootHash, SeriesId};
use serde::Serialize;
use web::{Access, Method, Response};

use super::views::{
    CodeView, EventView, FoundView, HistoryView, KeyView, NewCodes, NewTerms, OfCode, OfKey, Query, TokenView,
};
use super::{Answers, Call, Endpoint, Handler, Manner, body, openapi, requests, route};
use crate::CRYPTO;
use crate::store::{Article, Customer, Event, Kind, Policy, Product, Repeat, Work};
use crate::terms::{Terms, check_owner};

/// Most codes of one request.
const CODES: u32 = 10_000;
/// Names in queries.
const LIMIT: &str = "limit";
const OFFSET: &str = "offset";
const ITN: &str = "ITN";
const ROOT: &str = "Root";
/// Longest `Idempotency-Key`.
const KEY: usize = 255;
/// Events in a list.
const EVENTS: u32 = 500;

/// One operation of the API.
pub(super) struct Operation {
    pub method: Method,
    pub path: &'static str,
    pub access: Access,
    pub summary: &'static str,
    /// Schema of the body, if it takes one.
    pub body: Option<&'static str>,
    handler: Handler,
}

impl Operation {
    pub fn route(self) -> web::Route<Endpoint> {
        route(self.method, self.path, self.access, Manner::Program, self.handler)
    }
}

/// All operations.
pub(super) fn operations() -> Vec<Operation> {
    use Access::{Administrator, Operator, Public, Viewer};
    use Method::{Get, Post, Put};
    let operation = |method, path, access, summary, body, answers: Answers| Operation {
        method,
        path,
        access,
        summary,
        body,
        handler: Handler::Answers(answers),
    };
    vec![
        Operation {
            method: Post,
            path: "/api/requests",
            access: Public,
            summary: "Answers a signed request of a server",
            body: Some("SignedRequest"),
            handler: Handler::Decides(requests::decide),
        },
        operation(
            Get,
            "/healthz",
            Public,
            "200 while the store answers and takes writes; behind its first line \"ok\" what else is wrong",
            None,
            health,
        ),
        operation(
            Get,
            "/readyz",
            Public,
            "200 while the store takes writes and a series can be served, else 503",
            None,
            ready,
        ),
        operation(Get, "/metrics", Viewer, "Figures for Prometheus", None, metrics),
        operation(Get, "/api/openapi.json", Public, "This document", None, openapi::document),
        operation(
            Post,
            "/api/find",
            Viewer,
            "Finds codes and keys by code, ITN, KeyNo, RegNo, ComputerID or customer",
            Some("Query"),
            find,
        ),
        operation(
            Post,
            "/api/codes",
            Administrator,
            "Makes codes of an article or with terms",
            Some("NewCodes"),
            new_codes,
        ),
        operation(
            Post,
            "/api/codes/block",
            Operator,
            "Blocks a code for ever and revokes its key",
            Some("OfCode"),
            block,
        ),
        operation(
            Post,
            "/api/codes/terms",
            Administrator,
            "Changes what is named of what a code or its key gives; the rest stays",
            Some("NewTerms"),
            terms,
        ),
        operation(Get, "/api/keys/{KeyID}/{KeyNo}", Viewer, "A key with its history", None, key),
        operation(Post, "/api/keys/allow", Operator, "Allows one transfer more than the limit", Some("OfKey"), allow),
        operation(Get, "/api/series", Viewer, "The series and what is allowed for their keys", None, series),
        operation(
            Put,
            "/api/series/{KeyID}/policy",
            Administrator,
            "Sets what is allowed for keys of a series",
            Some("Policy"),
            policy,
        ),
        operation(Get, "/api/products", Viewer, "The products", None, products),
        operation(Put, "/api/products", Administrator, "Writes a product", Some("Product"), put_product),
        operation(Get, "/api/articles", Viewer, "The articles", None, articles),
        operation(Put, "/api/articles", Administrator, "Writes an article", Some("Article"), put_article),
        operation(Get, "/api/customers", Viewer, "The customers; with ?ITN= those of one ITN", None, customers),
        operation(Put, "/api/customers", Operator, "Writes a customer", Some("Customer"), put_customer),
        operation(Get, "/api/reports", Viewer, "What the vendor must look at: clones, restored copies", None, reports),
        operation(Get, "/api/audit", Administrator, "The latest events", None, audit),
        operation(Get, "/api/tokens", Administrator, "The tokens, without their secrets", None, tokens),
    ]
}

fn json(value: &impl Serialize) -> Result<Response> {
    Ok(Response::json(200, value).with_header("Cache-Control", "no-store"))
}

fn read<T>(call: &Call<'_>, job: impl FnMut(&mut Work<'_>) -> Result<T>) -> Result<T> {
    call.shared.centre.store().work(job)
}

/// The part of a list that is asked for: how many are skipped, and how many are wanted at most.
fn page(call: &Call<'_>) -> Result<(u32, Option<u32>)> {
    let known = parameters(call.request.method, &call.request.path);
    if let Some((name, _)) = call.request.query.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(Error::new(Code::UnknownName).with(name).with(known.join(", ")));
    }
    let number = |name: &str| match call.request.query(name) {
        None => Ok(None),
        Some(text) => {
            let wrong = || Error::new(Code::WrongValue).with(name).with(text).with(format_args!("0–{}", u32::MAX));
            text.parse().map(Some).map_err(|_| wrong())
        }
    };
    Ok((number(OFFSET)?.unwrap_or_default(), number(LIMIT)?))
}

/// Answers with a list, or the part of it that is asked for.
fn listed<T: Serialize>(call: &Call<'_>, job: impl FnMut(&mut Work<'_>) -> Result<Vec<T>>) -> Result<Response> {
    let (skipped, count) = page(call)?;
    let count = count.map_or(usize::MAX, |count| count as usize);
    let items = read(call, job)?;
    json(&items.iter().skip(skipped as usize).take(count).collect::<Vec<_>>())
}

/// Parameters of the query that an operation takes; others are refused by name.
pub(super) fn parameters(method: Method, path: &str) -> &'static [&'static str] {
    match (method, path) {
        (Method::Get, "/api/customers") => &[LIMIT, OFFSET, ITN],
        (
            Method::Get,
            "/api/series" | "/api/products" | "/api/articles" | "/api/reports" | "/api/audit" | "/api/tokens",
        ) => &[LIMIT, OFFSET],
        (_, "/api/keys/{KeyID}/{KeyNo}" | "/api/series/{KeyID}/policy") => &[ROOT],
        _ => &[],
    }
}

/// Runs what a `POST` is for, in one transaction; under an `Idempotency-Key` once, whoever repeats it is answered as before.
fn once<T: Serialize>(call: &Call<'_>, mut job: impl FnMut(&mut Work<'_>) -> Result<Option<T>>) -> Result<Response> {
    let mut job = |work: &mut Work<'_>| {
        let text = job(work)?.map(|answer| serde_json::to_string(&answer)).transpose();
        text.map(Option::unwrap_or_default).map_err(|e| Error::new(Code::Internal).with(e))
    };
    let text = match repeat(call)? {
        None => call.shared.centre.store().work(job)?,
        Some(repeat) => {
            let now = call.shared.centre.now();
            call.shared.centre.store().work(|work| work.once((&repeat, now), &mut job))?
        }
    };
    if text.is_empty() {
        return Ok(Response::empty(204));
    }
    let response = Response::new(200, "application/json; charset=utf-8", text);
    Ok(response.with_header("Cache-Control", "no-store"))
}

/// What tells a repeated request from another one, if it has a key.
fn repeat(call: &Call<'_>) -> Result<Option<Repeat>> {
    let Some(key) = call.request.headers.get("idempotency-key").map(str::trim) else { return Ok(None) };
    if !(1..=KEY).contains(&key.len()) || !key.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(Error::new(Code::BadRequest).with(format_args!("Idempotency-Key: 1–{KEY} ASCII")));
    }
    let request = CRYPTO.sha256(&[call.request.path.as_bytes(), b"\n", &call.request.body]);
    Ok(Some(Repeat { actor: call.actor().into(), key: key.into(), request: licence::id::hex(&request) }))
}

/// Runs a change of the catalogue and notes it.
fn change(call: &Call<'_>, details: &str, mut job: impl FnMut(&mut Work<'_>) -> Result<()>) -> Result<Response> {
    let event = Event::new(call.shared.centre.now(), call.actor(), Kind::CatalogueChanged).with(details);
    call.shared.centre.store().work(|work| {
        job(work)?;
        work.note(&event)
    })?;
    Ok(Response::empty(204))
}

fn number<T: std::str::FromStr>(call: &Call<'_>, name: &str) -> Result<T> {
    call.params.get(name).parse().map_err(|_| Error::new(Code::BadRequest).with(name))
}

/// The series of that number; with several of them the root tells which.
fn series_id(work: &mut Work<'_>, key_id: KeyId, root: Option<RootHash>) -> Result<SeriesId> {
    match root {
        Some(root) => Ok(SeriesId { key_id, root }),
        None => Ok(work.series_of(key_id)?.series),
    }
}

/// Refuses a series that the store does not know.
fn known(work: &mut Work<'_>, series: &SeriesId) -> Result<()> {
    work.series(series)?.map(drop).ok_or_else(|| Error::new(Code::RecordNotFound).with(series.key_id))
}

fn root_of_query(call: &Call<'_>) -> Result<Option<RootHash>> {
    let root = call.request.query(ROOT).map(str::parse).transpose();
    root.map_err(|_| Error::new(Code::BadRequest).with("Root"))
}

fn health(call: &Call<'_>) -> Result<Response> {
    call.shared.centre.check()?;
    let fault = call.shared.guard.fault().map(|fault| format!("warning: {}\n", fault.word()));
    Ok(Response::text(200, format!("ok\n{}", fault.unwrap_or_default())))
}

fn ready(call: &Call<'_>) -> Result<Response> {
    match call.shared.centre.ready() {
        Err(error) if error.code == Code::SeriesNotServed => {
            Ok(Response::text(503, format!("{}\n", error.cause(call.lang()))))
        }
        done => done.map(|()| Response::text(200, "ok\n")),
    }
}

fn metrics(call: &Call<'_>) -> Result<Response> {
    let page = call.shared.metrics.page(&call.shared.centre, call.shared.guard.fault());
    Ok(Response::new(200, "text/plain; version=0.0.4; charset=utf-8", page))
}

fn find(call: &Call<'_>) -> Result<Response> {
    let Query { query } = body::read(call)?;
    json(&FoundView::of(call.shared.centre.find(&query)?, call.sight()))
}

fn new_codes(call: &Call<'_>) -> Result<Response> {
    let asked: NewCodes = body::read(call)?;
    if !(1..=CODES).contains(&asked.count) {
        return Err(Error::new(Code::BadRequest).with(format_args!("Count: 1–{CODES}")));
    }
    check_owner(asked.itn.as_deref(), asked.iec.as_deref())?;
    asked.terms.as_ref().map_or(Ok(()), |terms| terms.check_owner(None))?;
    let (series, terms) = read(call, |work| {
        let series = series_id(work, asked.key_id, asked.root)?;
        let terms = match (&asked.article, &asked.terms) {
            (Some(article), None) => {
                let found = work.article(&series, article)?;
                found.ok_or_else(|| Error::new(Code::RecordNotFound).with(article))?.terms
            }
            (None, Some(terms)) => terms.clone(),
            _ => return Err(Error::new(Code::BadRequest).with("Article / Terms")),
        };
        let (itn, iec) = (asked.itn.clone().or(terms.itn), asked.iec.clone().or(terms.iec));
        Ok((series, Terms { offer: terms.offer, itn, iec }))
    })?;
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Made {
        codes: Vec<ActivationCode>,
    }
    let sale = (&series, &terms);
    once(call, |work| {
        Ok(Some(Made { codes: call.shared.centre.make_codes_in(work, call.actor(), sale, asked.count)? }))
    })
}

fn block(call: &Call<'_>) -> Result<Response> {
    let OfCode { code } = body::read(call)?;
    once(call, |work| {
        call.shared.centre.block_in(work, call.actor(), code)?;
        let sold = work.code(code)?.ok_or_else(|| Error::new(Code::CodeUnknown))?;
        Ok(Some(CodeView::of(sold, call.sight())))
    })
}

fn terms(call: &Call<'_>) -> Result<Response> {
    let NewTerms { code, terms } = body::read(call)?;
    once(call, |work| {
        let changed = |former: &Terms| former.changed(&terms);
        call.shared.centre.change_terms_in(work, call.actor(), code, changed).map(|()| None::<()>)
    })
}

fn key(call: &Call<'_>) -> Result<Response> {
    let (key_id, key_no, root) = (number(call, "KeyID")?, number::<KeyNo>(call, "KeyNo")?, root_of_query(call)?);
    let series = read(call, |work| series_id(work, key_id, root))?;
    json(&HistoryView::of(call.shared.centre.history(&series, key_no)?, call.sight()))
}

fn allow(call: &Call<'_>) -> Result<Response> {
    let OfKey { key_id, root, key_no } = body::read(call)?;
    once(call, |work| {
        let series = series_id(work, key_id, root)?;
        let key = call.shared.centre.allow_in(work, call.actor(), &series, key_no)?;
        Ok(Some(KeyView::of(key, call.sight())))
    })
}

fn series(call: &Call<'_>) -> Result<Response> {
    listed(call, |work| work.all_series())
}

fn policy(call: &Call<'_>) -> Result<Response> {
    let policy: Policy = body::read(call)?;
    let (key_id, root) = (number(call, "KeyID")?, root_of_query(call)?);
    change(call, &format!("policy {key_id}"), |work| {
        let series = series_id(work, key_id, root)?;
        work.set_policy(&series, &policy)
    })
}

fn products(call: &Call<'_>) -> Result<Response> {
    listed(call, |work| work.products())
}

fn put_product(call: &Call<'_>) -> Result<Response> {
    let product: Product = body::read(call)?;
    change(call, &format!("product {}", product.name), |work| {
        known(work, &product.series)?;
        work.put_product(&product)
    })
}

fn articles(call: &Call<'_>) -> Result<Response> {
    listed(call, |work| work.articles())
}

fn put_article(call: &Call<'_>) -> Result<Response> {
    let article: Article = body::read(call)?;
    change(call, &format!("article {}", article.terms.offer.article), |work| {
        known(work, &article.series)?;
        let former = work.article(&article.series, &article.terms.offer.article)?;
        article.terms.check_owner(former.as_ref().map(|former| &former.terms))?;
        work.put_article(&article)
    })
}

fn customers(call: &Call<'_>) -> Result<Response> {
    let itn = call.request.query(ITN).unwrap_or_default();
    listed(call, |work| work.customers(itn))
}

fn put_customer(call: &Call<'_>) -> Result<Response> {
    let customer: Customer = body::read(call)?;
    change(call, &format!("customer {}", customer.itn), |work| {
        // One who is there already stays, whatever was checked when he came.
        if !work.customers(&customer.itn)?.iter().any(|known| known.iec == customer.iec) {
            check_owner(Some(&customer.itn), Some(customer.iec.as_str()).filter(|iec| !iec.is_empty()))?;
        }
        work.put_customer(&customer)
    })
}

fn events(call: &Call<'_>, reports: bool) -> Result<Response> {
    let (skipped, count) = page(call)?;
    let events = read(call, |work| work.latest_events(reports, (skipped, count.map_or(EVENTS, |n| n.min(EVENTS)))))?;
    json(&events.into_iter().map(EventView::of).collect::<Vec<_>>())
}

fn reports(call: &Call<'_>) -> Result<Response> {
    events(call, true)
}

fn audit(call: &Call<'_>) -> Result<Response> {
    events(call, false)
}

fn tokens(call: &Call<'_>) -> Result<Response> {
    listed(call, |work| Ok(work.tokens()?.into_iter().map(TokenView::of).collect()))
}
