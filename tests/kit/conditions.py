"""Decides which items of lists a CloudFormation template has, for the stand-in, which keeps an AWS::NoValue as an item."""


def decided(template, given):
    """The template without Fn::If in its lists, for parameters with their values."""
    values = {key: given.get(key, it.get("Default")) for key, it in template["Parameters"].items()}
    return kept(template, template.get("Conditions", {}), values)


def kept(value, conditions, values):
    if isinstance(value, dict) and "Fn::If" in value:
        condition, *branches = value["Fn::If"]
        return {"Fn::If": [condition, *(kept(it, conditions, values) for it in branches)]}
    if isinstance(value, dict):
        return {key: kept(it, conditions, values) for key, it in value.items()}
    if not isinstance(value, list):
        return value
    items = []
    for item in value:
        while isinstance(item, dict) and "Fn::If" in item:
            condition, then, otherwise = item["Fn::If"]
            item = then if holds(conditions[condition], conditions, values) else otherwise
        if item != {"Ref": "AWS::NoValue"}:
            items.append(kept(item, conditions, values))
    return items


def holds(condition, conditions, values):
    [(function, arguments)] = condition.items()
    if function == "Fn::Equals":
        first, second = (text(it, values) for it in arguments)
        return first == second
    if function == "Fn::Not":
        return not holds(arguments[0], conditions, values)
    if function == "Fn::Or":
        return any(holds(it, conditions, values) for it in arguments)
    if function == "Fn::And":
        return all(holds(it, conditions, values) for it in arguments)
    if function == "Condition":
        return holds(conditions[arguments], conditions, values)
    raise SystemExit(f"{function} is new here")


def text(value, values):
    if isinstance(value, dict) and "Ref" in value:
        return values[value["Ref"]]
    if isinstance(value, dict) and "Fn::Join" in value:
        between, items = value["Fn::Join"]
        items = text(items, values) if isinstance(items, dict) else [text(it, values) for it in items]
        return between.join(items.split(",") if isinstance(items, str) else items)
    return value
