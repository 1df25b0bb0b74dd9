//! Exceptions formatted like Elixir's `Exception.format_banner/3`, for nodes without Elixir.

use peerl_node::{Class, Exception, Term};
use peerl_term::Map;
use peerl_term::text::Syntax;

use super::undefined;

/// The first line of an exception, as Elixir prints it: `** (ArithmeticError) bad argument in arithmetic expression`.
pub fn banner(exception: &Exception) -> String {
    let reason = &exception.reason;
    match exception.class {
        Class::Throw => format!("** (throw) {}", inspect(reason)),
        Class::Exit => format!("** (exit) {}", inspect(reason)),
        Class::Error => {
            let (name, message) = normalized(exception);
            format!("** ({name}) {message}")
        }
    }
}

/// Whether a reason is an Elixir exception.
pub(super) fn is_struct(reason: &Term) -> bool {
    matches!(reason, Term::Map(map) if map.get_atom("__exception__").is_some_and(|is| is.is_atom("true")))
}

fn inspect(term: &Term) -> String {
    Syntax::Elixir.display(term).to_string()
}

/// The exception's module and message; Erlang errors are converted like in Elixir (`Exception.normalize/3`).
fn normalized(exception: &Exception) -> (String, String) {
    let reason = &exception.reason;
    if let (Term::Map(fields), true) = (reason, is_struct(reason)) {
        let name = fields.get_atom("__struct__").map_or_else(|| "ErlangError".to_owned(), inspect);
        return (name.clone(), message(&name, fields).unwrap_or_else(|| format!("got exception {}", inspect(reason))));
    }
    let text = match reason.as_atom().map(|reason| reason.as_str()) {
        Some("badarg") => Some((
            "ArgumentError",
            match exception.cause() {
                Some(cause) => format!("argument error: {cause}"),
                None => "argument error".to_owned(),
            },
        )),
        Some("badarith") => Some(("ArithmeticError", "bad argument in arithmetic expression".to_owned())),
        Some("system_limit") => Some(("SystemLimitError", "a system limit has been reached".to_owned())),
        Some("cond_clause") => Some(("CondClauseError", "no cond clause evaluated to a truthy value".to_owned())),
        Some("undef") => undefined(exception).map(|function| {
            let (module, name) = (inspect(&Term::Atom(function.module)), function.name);
            ("UndefinedFunctionError", format!("function {module}.{name}/{} is undefined or private", function.arity))
        }),
        Some("function_clause") => first_function(exception)
            .map(|function| ("FunctionClauseError", format!("no function clause matching in {function}"))),
        _ => None,
    };
    let pair = || match reason.as_tuple()? {
        [kind, value] => Some(match kind.as_atom()?.as_str() {
            "badmatch" => ("MatchError", format!("no match of right hand side value: {}", inspect(value))),
            "case_clause" => ("CaseClauseError", format!("no case clause matching: {}", inspect(value))),
            "try_clause" => ("TryClauseError", format!("no try clause matching: {}", inspect(value))),
            "with_clause" => ("WithClauseError", format!("no with clause matching: {}", inspect(value))),
            "badmap" => ("BadMapError", format!("expected a map, got: {}", inspect(value))),
            "badkey" => ("KeyError", format!("key {} not found", inspect(value))),
            "badbool" => ("BadBooleanError", format!("expected a boolean, got: {}", inspect(value))),
            "badfun" => ("BadFunctionError", format!("expected a function, got: {}", inspect(value))),
            _ => return None,
        }),
        [kind, key, map] if kind.is_atom("badkey") => {
            Some(("KeyError", format!("key {} not found in: {}", inspect(key), inspect(map))))
        }
        _ => None,
    };
    let (name, message) =
        text.or_else(pair).unwrap_or_else(|| ("ErlangError", format!("Erlang error: {}", inspect(reason))));
    (name.to_owned(), message)
}

fn first_function(exception: &Exception) -> Option<String> {
    match exception.stack.as_list()?.first()?.as_tuple()? {
        [module, Term::Atom(name), arguments, _] => {
            let arity = arguments.as_list().map_or_else(|| inspect(arguments), |list| list.len().to_string());
            Some(format!("{}.{name}/{arity}", inspect(module)))
        }
        _ => None,
    }
}

/// The message of an Elixir exception, from its fields.
fn message(name: &str, fields: &Map) -> Option<String> {
    if let Some(Term::Binary(message)) = fields.get_atom("message") {
        return message.as_str().map(str::to_owned);
    }
    let field = |name: &str| fields.get_atom(name).map(inspect);
    let function = || {
        let name = fields.get_atom("function")?.as_atom()?.as_str();
        Some(format!("{}.{name}/{}", field("module")?, field("arity")?))
    };
    Some(match name {
        "KeyError" => format!("key {} not found in: {}", field("key")?, field("term")?),
        "MatchError" => format!("no match of right hand side value: {}", field("term")?),
        "CaseClauseError" => format!("no case clause matching: {}", field("term")?),
        "BadMapError" => format!("expected a map, got: {}", field("term")?),
        "UndefinedFunctionError" => format!("function {} is undefined or private", function()?),
        "FunctionClauseError" => format!("no function clause matching in {}", function()?),
        "ErlangError" => format!("Erlang error: {}", field("original")?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use peerl_term::text::elixir;

    use super::*;

    fn error(reason: &str) -> String {
        banner(&Exception::error(elixir::parse(reason).unwrap()))
    }

    #[test]
    fn errors_of_erlang() {
        assert_eq!(error(":badarith"), "** (ArithmeticError) bad argument in arithmetic expression");
        assert_eq!(error(":badarg"), "** (ArgumentError) argument error");
        assert_eq!(
            error("{:badmatch, {:error, :enoent}}"),
            "** (MatchError) no match of right hand side value: {:error, :enoent}"
        );
        assert_eq!(error("{:badkey, :a, %{b: 1}}"), "** (KeyError) key :a not found in: %{b: 1}");
        assert_eq!(error("{:odd, 1, 2}"), "** (ErlangError) Erlang error: {:odd, 1, 2}");
        assert_eq!(banner(&Exception::throw(Term::from(1))), "** (throw) 1");
        assert_eq!(banner(&Exception::exit(Term::atom("bye"))), "** (exit) :bye");
    }

    #[test]
    fn exceptions_of_elixir() {
        let own = "%{__exception__: true, __struct__: MyApp.Odd, message: \"it is odd\"}";
        assert_eq!(error(own), "** (MyApp.Odd) it is odd");
        let key = "%{__exception__: true, __struct__: KeyError, key: :a, term: %{b: 1}, message: nil}";
        assert_eq!(error(key), "** (KeyError) key :a not found in: %{b: 1}");
    }
}
