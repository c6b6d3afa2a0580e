//! The pages, one file each.

pub(crate) mod changes;
pub(crate) mod cluster;
pub(crate) mod dead_letters;
pub(crate) mod doctor;
pub(crate) mod groups;
pub(crate) mod login;
pub(crate) mod member;
pub(crate) mod message;
pub(crate) mod messages;
pub(crate) mod producers;
pub(crate) mod settings;
pub(crate) mod topics;
