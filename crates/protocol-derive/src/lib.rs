//! `#[derive(Header)]`: both directions of a header's field codec.
//!
//! The derived code reads every field of the frame once and matches its name; what a struct does not name is ignored, as
//! Java ignores it. See `protocol::header` for the traits and an example.
//!
//! | attribute | meaning |
//! |---|---|
//! | `#[header(java = "maxMsgNums")]` | the name on the wire; without it the field's name in camel case |
//! | `#[header(short = "a")]` | second name, accepted on input, written by `protocol::header::Short` |
//! | `#[header(optional)]` | documents an `Option<T>`; such a field may be missing with or without it |
//! | `#[header(default)]` | a missing field takes its type's default value |
//!
//! Names on the wire are of letters, digits and `_`: nothing in them is ever escaped, so they are written as they are.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use proc_macro::TokenStream;
use proc_macro2::{Span, TokenStream as Tokens};
use quote::{format_ident, quote};
use syn::{
    Data, DeriveInput, Error, Field, Fields, GenericParam, Ident, LitByteStr, LitStr, Type, parse_macro_input,
};

/// Derives `protocol::header::DecodeHeader` and `protocol::header::EncodeHeader`.
#[proc_macro_derive(Header, attributes(header))]
pub fn derive_header(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(Error::into_compile_error).into()
}

struct HeaderField {
    ident: Ident,
    ty: Type,
    java: String,
    short: Option<String>,
    optional: bool,
    default: bool,
}

fn expand(input: &DeriveInput) -> Result<Tokens, Error> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "a header is a struct"));
    };
    let named = match &data.fields {
        Fields::Named(named) => named.named.iter().collect(),
        Fields::Unit => Vec::new(),
        Fields::Unnamed(_) => return Err(Error::new_spanned(&input.ident, "a header's fields have names")),
    };
    let fields = named
        .into_iter()
        .map(header_field)
        .collect::<Result<Vec<_>, _>>()?;
    let decode = decode_impl(input, &fields)?;
    let encode = encode_impl(input, &fields);
    Ok(quote!(#decode #encode))
}

fn header_field(field: &Field) -> Result<HeaderField, Error> {
    let ident = field
        .ident
        .clone()
        .ok_or_else(|| Error::new_spanned(field, "a header's fields have names"))?;
    let mut parsed = HeaderField {
        java: camel_case(&ident.to_string()),
        ident,
        ty: field.ty.clone(),
        short: None,
        optional: option_inner(&field.ty).is_some(),
        default: false,
    };
    for attr in field.attrs.iter().filter(|a| a.path().is_ident("header")) {
        attr.parse_nested_meta(|meta| {
            if meta.path.is_ident("java") {
                parsed.java = meta.value()?.parse::<LitStr>()?.value();
            } else if meta.path.is_ident("short") {
                parsed.short = Some(meta.value()?.parse::<LitStr>()?.value());
            } else if meta.path.is_ident("default") {
                parsed.default = true;
            } else if meta.path.is_ident("optional") {
                if option_inner(&parsed.ty).is_none() {
                    return Err(meta.error("an optional field is an Option"));
                }
            } else {
                return Err(meta.error("known: java, short, optional, default"));
            }
            Ok(())
        })?;
    }
    for name in [Some(&parsed.java), parsed.short.as_ref()].into_iter().flatten() {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !plain || name.len() > 255 {
            return Err(Error::new_spanned(
                field,
                "a name on the wire is of letters, digits and _, and not long",
            ));
        }
    }
    Ok(parsed)
}

fn decode_impl(input: &DeriveInput, fields: &[HeaderField]) -> Result<Tokens, Error> {
    let name = &input.ident;
    let lifetimes: Vec<_> = input
        .generics
        .params
        .iter()
        .filter_map(|p| {
            if let GenericParam::Lifetime(l) = p {
                Some(l.lifetime.clone())
            } else {
                None
            }
        })
        .collect();
    if lifetimes.len() > 1 || lifetimes.len() != input.generics.params.len() {
        return Err(Error::new_spanned(
            &input.generics,
            "a header has at most one lifetime and no type parameter",
        ));
    }
    let (frame, own) = match lifetimes.first() {
        Some(l) => (quote!(#l), quote!(<#l>)),
        None => (quote!('frame), quote!()),
    };
    let slots: Vec<Ident> = (0..fields.len()).map(|i| format_ident!("field_{i}")).collect();
    let arms = fields.iter().zip(&slots).enumerate().map(|(i, (field, slot))| {
        let java = &field.java;
        let ty = option_inner(&field.ty).unwrap_or(&field.ty);
        let read = if field.optional || field.default {
            quote!(lenient)
        } else {
            quote!(strict)
        };
        quote!(#i => #slot = ::protocol::header::read::#read::<#ty>(#java, text)?,)
    });
    let which = which_field(fields);
    let build = fields.iter().zip(&slots).map(|(field, slot)| {
        let (ident, java) = (&field.ident, &field.java);
        if field.optional {
            quote!(#ident: #slot,)
        } else if field.default {
            quote!(#ident: #slot.unwrap_or_default(),)
        } else {
            quote!(#ident: #slot.ok_or(::protocol::header::HeaderError::Missing { field: #java })?,)
        }
    });
    Ok(quote! {
        #[automatically_derived]
        impl<#frame> ::protocol::header::DecodeHeader<#frame> for #name #own {
            fn decode(
                mut fields: ::protocol::frame::Fields<#frame>,
            ) -> ::std::result::Result<Self, ::protocol::header::HeaderError> {
                #(let mut #slots = ::std::option::Option::None;)*
                while let ::std::option::Option::Some((name, text)) = fields.next_named() {
                    match #which {
                        #(#arms)*
                        _ => { let _ = text; }
                    }
                }
                ::std::result::Result::Ok(Self { #(#build)* })
            }
        }
    })
}

/// The field's number by its name, [`usize::MAX`] for a name that the header does not have. By length first: that leaves few
/// to compare, and a comparison of a known length costs little.
fn which_field(fields: &[HeaderField]) -> Tokens {
    let mut by_len: BTreeMap<usize, Vec<Tokens>> = BTreeMap::new();
    for (i, field) in fields.iter().enumerate() {
        for name in [Some(&field.java), field.short.as_ref()].into_iter().flatten() {
            let bytes = LitByteStr::new(name.as_bytes(), Span::call_site());
            let tests = by_len.entry(name.len()).or_default();
            tests.push(quote!(if *name == *#bytes { #i } else));
        }
    }
    let (lens, tests): (Vec<_>, Vec<_>) = by_len.into_iter().unzip();
    quote!(match name.len() {
        #(#lens => #(#tests)* { usize::MAX },)*
        _ => usize::MAX,
    })
}

fn encode_impl(input: &DeriveInput, fields: &[HeaderField]) -> Tokens {
    let name = &input.ident;
    let (impl_generics, ty_generics, _) = input.generics.split_for_impl();
    let writes = fields.iter().map(|field| {
        let ident = &field.ident;
        let long = field_name(&field.java);
        let name = match &field.short {
            Some(short) => {
                let short = field_name(short);
                quote!(writer.pick(#long, #short))
            }
            None => long,
        };
        quote!(::protocol::header::EncodeField::encode(&self.#ident, #name, writer);)
    });
    quote! {
        #[automatically_derived]
        impl #impl_generics ::protocol::header::EncodeHeader for #name #ty_generics {
            fn encode(&self, writer: &mut ::protocol::encode::FieldWriter<'_>) {
                let _ = &writer;
                #(#writes)*
            }
        }
    }
}

/// The name as the writer wants it.
fn field_name(name: &str) -> Tokens {
    let json = format!(",\"{name}\":\"");
    // `header_field` takes no name that is longer.
    let binary = [&[0, name.len() as u8], name.as_bytes()].concat();
    let binary = LitByteStr::new(&binary, Span::call_site());
    quote!(const { ::protocol::encode::FieldName::new(#json, #binary) })
}

/// The `T` of an `Option<T>`.
fn option_inner(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    if last.ident != "Option" {
        return None;
    }
    let syn::PathArguments::AngleBracketed(args) = &last.arguments else {
        return None;
    };
    match args.args.first()? {
        syn::GenericArgument::Type(inner) => Some(inner),
        _ => None,
    }
}

fn camel_case(snake: &str) -> String {
    let mut out = String::with_capacity(snake.len());
    let mut upper = false;
    for c in snake.trim_start_matches("r#").chars() {
        if c == '_' {
            upper = true;
        } else if upper {
            out.extend(c.to_uppercase());
            upper = false;
        } else {
            out.push(c);
        }
    }
    out
}
