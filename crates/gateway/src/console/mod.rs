//! The console: pages for customers and for operators, made on the server. Sums come from rollups, so that a page costs the
//! same however many receipts there are.

pub(crate) mod assets;
pub(crate) mod bills;
pub(crate) mod chart;
mod columns;
pub(crate) mod connect;
pub(crate) mod consent;
mod export;
pub(crate) mod html;
mod key_form;
pub(crate) mod key_list;
pub(crate) mod keys;
mod limits;
mod list;
pub(crate) mod operator;
pub(crate) mod organization;
pub(crate) mod overview;
pub(crate) mod own_keys;
pub(crate) mod page;
pub(crate) mod playground;
pub(crate) mod problem;
pub(crate) mod receipt;
mod request_wishes;
pub(crate) mod requests;
pub(crate) mod settings;
pub(crate) mod sums;

pub(crate) use export::Exports;
