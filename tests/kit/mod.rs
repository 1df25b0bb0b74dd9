//! Reads the files of `deploy/`.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod page;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use peerl_test_support::{Moto, python_tool};
use serde_json::Value;

pub(crate) fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

pub(crate) fn text(relative: &str) -> String {
    std::fs::read_to_string(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// A CloudFormation template as JSON, its functions in their long forms.
pub(crate) fn template(name: &str) -> Value {
    let file = path(&format!("deploy/cloudformation/{name}.yaml"));
    json(python_tool("python").arg(path("tests/kit/template.py")).arg(file))
}

/// HCL files as one JSON value: lists of blocks by their kinds.
pub(crate) fn hcl(files: &[PathBuf]) -> Value {
    json(python_tool("python").arg(path("tests/kit/hcl.py")).args(files))
}

/// All Terraform files of a directory of `deploy/terraform`.
pub(crate) fn terraform(name: &str) -> Value {
    let directory = path(&format!("deploy/terraform/{name}"));
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    hcl(&files.filter(|file| file.extension().is_some_and(|extension| extension == "tf")).collect::<Vec<_>>())
}

/// Deploys or updates a template; returns AWS's description of the stack.
pub(crate) fn deploy(moto: &Moto, stack: &str, name: &str, parameters: &[&str]) -> Value {
    let file = path(&format!("deploy/cloudformation/{name}.yaml"));
    let mut command = python_tool("python");
    command.arg(path("tests/kit/stack.py")).arg(stack).arg(file).args(parameters);
    command.envs(moto.env()).env("AWS_DEFAULT_REGION", Moto::REGION);
    json(&mut command)
}

/// A program's output, parsed as JSON.
pub(crate) fn json(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// One or many texts.
pub(crate) fn texts(value: &Value) -> BTreeSet<String> {
    match value {
        Value::String(text) => [text.clone()].into(),
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        other => panic!("{other} is no text"),
    }
}

/// The actions that IAM policies allow.
pub(crate) fn actions(policies: &Value) -> BTreeSet<String> {
    let policies = policies.as_array().unwrap();
    let statements = policies.iter().flat_map(|policy| policy["Statement"].as_array().unwrap());
    statements.flat_map(|statement| texts(&statement["Action"])).collect()
}

pub(crate) fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|&item| item.to_owned()).collect()
}
