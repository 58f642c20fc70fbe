//! What the vendor sells and to whom: series with their policy, products, articles, customers.

use licence::activation::Offer;
use licence::error::{Code, Error, Result};
use licence::{KeyId, SeriesId};
use serde::{Deserialize, Serialize};

use super::Work;
use super::database::{LOCKED, Row, json};
use crate::terms::{self, Terms};

/// What the vendor allows for the keys of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct Policy {
    /// How often a key may be given up for a reserve code …
    pub transfers: u32,
    /// … within so many days.
    pub transfer_days: u32,
    /// What a server gets that asks for a demo licence without a code; `None`: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demo: Option<Offer>,
    /// A licence must be updated within so many days after it was signed; 0: never.
    pub renew_days: u32,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { transfers: 5, transfer_days: 365, demo: None, renew_days: 0 }
    }
}

/// A series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Series {
    /// KeyID and root.
    #[serde(flatten)]
    pub series: SeriesId,
    /// Its name.
    pub name: String,
    /// What is allowed for its keys.
    pub policy: Policy,
}

/// A product: what articles of a series are sold for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Product {
    /// KeyID and root.
    #[serde(flatten)]
    pub series: SeriesId,
    /// Its name.
    pub name: String,
    /// For the vendor's people.
    #[serde(default)]
    pub note: String,
}

/// An article: terms that codes are made with. Its name and product stand in the terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Article {
    /// KeyID and root.
    #[serde(flatten)]
    pub series: SeriesId,
    /// The terms; `Article` in them is its number.
    pub terms: Terms,
}

/// A customer. The first exchange of a code with an unknown ИНН makes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Customer {
    /// ИНН, digits.
    #[serde(rename = "ITN")]
    pub itn: String,
    /// КПП, digits; empty for who has none.
    #[serde(rename = "IEC", default)]
    pub iec: String,
    /// Name.
    #[serde(default)]
    pub name: String,
    /// For the vendor's people.
    #[serde(default)]
    pub note: String,
}

fn series(row: &Row) -> Result<Series> {
    Ok(Series { series: row.series(0)?, name: row.text(1)?.to_owned(), policy: row.json(2)? })
}

impl Work<'_> {
    /// Makes a series known, or renames it.
    pub fn add_series(&mut self, series: &SeriesId, name: &str) -> Result<()> {
        let sql = "INSERT INTO series (series, key_id, name, policy, last_key_no, last_reg_no) \
            VALUES (?1, ?2, ?3, ?4, 0, 0) ON CONFLICT (series) DO UPDATE SET name = excluded.name";
        let values = [series.into(), series.key_id.to_string().into(), name.into(), json(&Policy::default())?];
        self.execute(sql, &values).map(drop)
    }

    /// A series, if the store knows it.
    pub fn series(&mut self, wanted: &SeriesId) -> Result<Option<Series>> {
        let sql = "SELECT series, name, policy FROM series WHERE series = ?1";
        self.one(sql, &[wanted.into()])?.as_ref().map(series).transpose()
    }

    /// What is allowed for the keys of a series.
    pub fn policy(&mut self, series: &SeriesId) -> Result<Policy> {
        Ok(self.series(series)?.map(|series| series.policy).unwrap_or_default())
    }

    /// A series, if the store knows it; nobody else gets numbers of it until the end of the transaction.
    pub fn lock_series(&mut self, series: &SeriesId) -> Result<Option<Series>> {
        let sql = format!("SELECT series, name, policy FROM series WHERE series = ?1{LOCKED}");
        self.one(&sql, &[series.into()])?.as_ref().map(self::series).transpose()
    }

    /// All series.
    pub fn all_series(&mut self) -> Result<Vec<Series>> {
        self.rows("SELECT series, name, policy FROM series ORDER BY series", &[])?.iter().map(series).collect()
    }

    /// The one series with that number.
    pub fn series_of(&mut self, key_id: KeyId) -> Result<Series> {
        let sql = "SELECT series, name, policy FROM series WHERE key_id = ?1";
        match self.rows(sql, &[key_id.to_string().into()])?.as_slice() {
            [row] => series(row),
            [] => Err(Error::new(Code::RecordNotFound).with(key_id)),
            _ => Err(Error::new(Code::BadRequest).with_text(
                format_args!("{key_id}: серий несколько, укажите Root"),
                format_args!("{key_id}: several series, give Root"),
            )),
        }
    }

    /// Writes the policy of a series.
    pub fn set_policy(&mut self, series: &SeriesId, policy: &Policy) -> Result<()> {
        let sql = "UPDATE series SET policy = ?2 WHERE series = ?1";
        match self.execute(sql, &[series.into(), json(policy)?])? {
            0 => Err(Error::new(Code::RecordNotFound).with(series.key_id)),
            _ => Ok(()),
        }
    }

    /// Writes a product.
    pub fn put_product(&mut self, product: &Product) -> Result<()> {
        let sql = "INSERT INTO products (series, name, note) VALUES (?1, ?2, ?3) \
            ON CONFLICT (series, name) DO UPDATE SET note = excluded.note";
        let values = [(&product.series).into(), product.name.clone().into(), product.note.clone().into()];
        self.execute(sql, &values).map(drop)
    }

    /// All products.
    pub fn products(&mut self) -> Result<Vec<Product>> {
        let read = |row: &Row| {
            Ok(Product { series: row.series(0)?, name: row.text(1)?.to_owned(), note: row.text(2)?.to_owned() })
        };
        self.rows("SELECT series, name, note FROM products ORDER BY series, name", &[])?.iter().map(read).collect()
    }

    /// Writes an article, and the product that it names.
    pub fn put_article(&mut self, article: &Article) -> Result<()> {
        let (series, offer) = (&article.series, &article.terms.offer);
        if offer.article.is_empty() {
            return Err(Error::new(Code::BadRequest).with("Article"));
        }
        if let Some(fault) = article.terms.fault(series.key_id) {
            return Err(Error::new(Code::BadRequest).with(fault));
        }
        let product =
            "INSERT INTO products (series, name, note) VALUES (?1, ?2, '') ON CONFLICT (series, name) DO NOTHING";
        self.execute(product, &[series.into(), offer.product_name.clone().into()])?;
        let sql = "INSERT INTO articles (series, article, terms) VALUES (?1, ?2, ?3) \
            ON CONFLICT (series, article) DO UPDATE SET terms = excluded.terms";
        let values = [series.into(), offer.article.clone().into(), json(&article.terms)?];
        self.execute(sql, &values).map(drop)
    }

    /// An article, if there is one.
    pub fn article(&mut self, series: &SeriesId, article: &str) -> Result<Option<Article>> {
        let sql = "SELECT terms FROM articles WHERE series = ?1 AND article = ?2";
        let row = self.one(sql, &[series.into(), article.into()])?;
        row.map(|row| Ok(Article { series: *series, terms: row.json(0)? })).transpose()
    }

    /// All articles.
    pub fn articles(&mut self) -> Result<Vec<Article>> {
        let read = |row: &Row| Ok(Article { series: row.series(0)?, terms: row.json(1)? });
        self.rows("SELECT series, terms FROM articles ORDER BY series, article", &[])?.iter().map(read).collect()
    }

    /// Writes a customer.
    pub fn put_customer(&mut self, customer: &Customer) -> Result<()> {
        if !terms::is_itn(&customer.itn) || !(customer.iec.is_empty() || terms::is_iec(&customer.iec)) {
            return Err(Error::new(Code::BadRequest).with("ITN, IEC"));
        }
        let sql = "INSERT INTO customers (itn, iec, name, folded_name, note) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (itn, iec) \
            DO UPDATE SET name = excluded.name, folded_name = excluded.folded_name, note = excluded.note";
        let Customer { itn, iec, name, note } = customer.clone();
        // Databases fold letters of other alphabets each in its own way, or not at all.
        let folded = name.to_lowercase();
        self.execute(sql, &[itn.into(), iec.into(), name.into(), folded.into(), note.into()]).map(drop)
    }

    /// Makes a customer of an ИНН that nobody knows yet.
    pub fn meet_customer(&mut self, itn: &str, iec: Option<&str>) -> Result<()> {
        let sql = "INSERT INTO customers (itn, iec, name, folded_name, note) VALUES (?1, ?2, '', '', '') \
            ON CONFLICT (itn, iec) DO NOTHING";
        self.execute(sql, &[itn.into(), iec.unwrap_or_default().into()]).map(drop)
    }

    /// Customers, by ИНН; of that ИНН only, unless it is empty.
    pub fn customers(&mut self, itn: &str) -> Result<Vec<Customer>> {
        let sql = "SELECT itn, iec, name, note FROM customers WHERE ?1 = '' OR itn = ?1 ORDER BY itn, iec";
        let read = |row: &Row| {
            let text = |at| row.text(at).map(str::to_owned);
            Ok(Customer { itn: text(0)?, iec: text(1)?, name: text(2)?, note: text(3)? })
        };
        self.rows(sql, &[itn.into()])?.iter().map(read).collect()
    }
}
