"""Runs a caller's Python inside the jail: a first wall and a signal for the record, never the boundary.

    python3 -I -B -c GUARD check FILE MODULES PACKAGES   judges the code and prints {"imports": [...]} or {"refused": {...}}
    python3 -I -B -c GUARD run   FILE MODULES PACKAGES   judges it again and runs it

MODULES are those that may be imported, with commas between them; PACKAGES is a directory to import from, or empty.

The boundary is the jail around this process. What is refused here is refused early, with the line and the rule, and tells whoever reads
the record what the code was about. Nothing below makes hostile Python safe outside of a jail.
"""

import ast
import builtins
import os
import re
import sys

# Names that give code access to files, other code, or the interpreter itself.
BLOCKED_BUILTINS = frozenset(
    "open eval exec compile __import__ globals vars breakpoint input help exit quit copyright credits license".split()
)
# Attributes that lead from ordinary objects to frames, modules and the system.
BLOCKED_ATTRIBUTES = frozenset(
    "os _os sys _sys posix _posix nt io _io builtins _builtins importlib _importlib subprocess ctypes _ctypes socket _socket shutil pty gc "
    "inspect marshal runpy asyncio popen meta_path path_hooks tb_frame tb_next f_back f_builtins f_code f_globals "
    "f_locals gi_frame gi_code gi_yieldfrom cr_frame cr_code cr_await ag_frame ag_code func_globals func_code co_code mro "
    "attrgetter methodcaller get_type_hints codecs _codecs "
    # What modules call other modules, and functions that run text in a module's own names.
    "bltns _types tempfile _tempfile _shutil sysconfig _sysconfig _thread ssl copyreg _weakref "
    "ForwardRef _evaluate _eval_type _create_fn _FuncBuilder CodeType FunctionType argparse".split()
)
# Dunder names that ordinary classes use.
ALLOWED_DUNDERS = frozenset(
    "__init__ __new__ __post_init__ __init_subclass__ __name__ __qualname__ __doc__ __enter__ __exit__ __iter__ __next__ __len__ __str__ "
    "__repr__ __format__ __bool__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __hash__ __call__ __getitem__ __setitem__ __delitem__ "
    "__contains__ __reversed__ __add__ __radd__ __iadd__ __sub__ __rsub__ __isub__ __mul__ __rmul__ __imul__ __truediv__ __rtruediv__ "
    "__floordiv__ __rfloordiv__ __mod__ __rmod__ __pow__ __rpow__ __and__ __or__ __xor__ __neg__ __pos__ __abs__ __invert__ __int__ "
    "__float__ __index__ __round__ __slots__ __all__ __version__ __set_name__ __get__ __set__ __missing__ "
    "__annotations__ __version_info__ __author__ __main__".split()
)
# A replacement field of `str.format` that climbs through attributes.
FORMAT_CLIMB = re.compile(r"\{[^{}]*[.\[][^{}]*__\w+__")


class Refused(Exception):
    """The code breaks a rule."""

    def __init__(self, line, rule):
        super().__init__(rule)
        self.line = line
        self.rule = rule


def is_dunder(name):
    return name.startswith("__") and name.endswith("__")


def is_blocked(name, allowed=frozenset()):
    """Whether an attribute of this name is out of reach. Modules that the operator allows are no secret."""
    if is_dunder(name):
        return name not in ALLOWED_DUNDERS
    return name in BLOCKED_ATTRIBUTES and name not in allowed


def judge(source, allowed):
    """The syntax tree of the code and the modules that it imports."""
    try:
        tree = ast.parse(source, "main.py")
    except SyntaxError as error:
        raise Refused(error.lineno or 1, "is not valid Python: " + str(error.msg))
    except (RecursionError, MemoryError):
        raise Refused(1, "is nested too deeply")
    nodes = list(walk(tree))
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    imports = set()
    for node in nodes:
        line = getattr(node, "lineno", 1)
        for name in names(node):
            # MUTATE(E3-dunder): names that lead out of ordinary objects pass
            if is_blocked(name, allowed):
                raise Refused(line, "reaches for `%s`" % name)
        if isinstance(node, ast.Import):
            for alias in node.names:
                imports.add(judge_import(alias.name, 0, allowed, line))
        elif isinstance(node, ast.ImportFrom):
            imports.add(judge_import(node.module or "", node.level, allowed, line))
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            # MUTATE(E3-names): `eval`, `open` and their like can be named
            if node.id in BLOCKED_BUILTINS and node.id not in bound:
                raise Refused(line, "uses `%s`, which is not available" % node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if FORMAT_CLIMB.search(node.value):
                raise Refused(line, "has a format string that reaches for a dunder name")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ("getattr", "setattr", "delattr", "hasattr") and len(node.args) > 1:
                name = node.args[1]
                if isinstance(name, ast.Constant) and isinstance(name.value, str) and is_blocked(name.value, allowed):
                    raise Refused(line, "reaches for `%s`" % name.value)
    return tree, sorted(imports)


def walk(tree):
    """All nodes, without recursion: a deep tree costs memory, not stack."""
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(ast.iter_child_nodes(node))


def names(node):
    """Every name by which a node reads or writes an attribute, or takes something out of a module."""
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.Name):
        return [node.id] if is_dunder(node.id) else []
    if isinstance(node, ast.ImportFrom):
        return [alias.name for alias in node.names]
    # `case C(__class__=x)` reads an attribute.
    if type(node).__name__ == "MatchClass":
        return list(node.kwd_attrs)
    if isinstance(node, (ast.Global, ast.Nonlocal)):
        return [name for name in node.names if is_dunder(name)]
    return []


def judge_import(name, level, allowed, line):
    if level:
        raise Refused(line, "imports relative to a package that does not exist")
    if not is_allowed(name, allowed):
        raise Refused(line, "imports `%s`, which is not on the list of allowed modules" % name[:100])
    return name.partition(".")[0]


def is_allowed(name, allowed):
    top = name.partition(".")[0]
    # MUTATE(E3-imports): any module may be imported
    return top in allowed and top != "asyncio" and not any(is_blocked(part, allowed) for part in name.split(".")[1:])


def curated(allowed):
    """The builtins that the code sees."""
    real_import = builtins.__import__

    def guarded_import(name, globals=None, locals=None, fromlist=(), level=0):
        # MUTATE(E3-import-wrapper): imports are not checked when the code runs
        if level or not is_allowed(name, allowed) or any(is_blocked(item, allowed) for item in fromlist or ()):
            raise ImportError("the module `%s` is not on the list of allowed modules" % str(name)[:100])
        return real_import(name, globals, locals, fromlist, level)

    def guarded(function):
        def wrapper(target, name, *rest):
            # MUTATE(E3-getattr): `getattr` reads whatever it is asked for
            if not isinstance(name, str) or is_blocked(str(name), allowed):
                raise AttributeError("this attribute is not available")
            return function(target, str(name), *rest)

        wrapper.__name__ = function.__name__
        return wrapper

    # MUTATE(E3-builtins): the code sees all builtins
    table = {name: value for name, value in vars(builtins).items() if name not in BLOCKED_BUILTINS}
    for name in ("__loader__", "__spec__", "__package__", "__debug__"):
        table.pop(name, None)
    table["__debug__"] = True
    table["__import__"] = guarded_import
    for name in ("getattr", "setattr", "delattr", "hasattr"):
        table[name] = guarded(getattr(builtins, name))
    return table


def curb_formatter(allowed):
    """`string.Formatter` hands out what its fields climb to."""
    import string

    climb = string.Formatter.get_field

    def get_field(self, field_name, args, kwargs):
        # MUTATE(E3-formatter): a formatter's fields climb through attributes
        if any(is_blocked(part, allowed) for part in re.split(r"[.\[\]]", field_name)):
            raise AttributeError("this attribute is not available")
        return climb(self, field_name, args, kwargs)

    string.Formatter.get_field = get_field


def plain(name):
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name):
        raise ValueError("a file is named by 1-100 letters, digits, `.`, `_` and `-`")
    return name


def read_bytes(name):
    """The bytes of a file."""
    with open(plain(name), "rb") as file:
        return file.read()


def read_text(name):
    """The text of a file, as UTF-8."""
    return read_bytes(name).decode("utf-8")


def write_bytes(name, data):
    """Writes a file that is returned with the result."""
    with open(plain(name), "wb") as file:
        file.write(data)


def write_text(name, text):
    """Writes a text file that is returned with the result."""
    write_bytes(name, text.encode("utf-8"))


def run(tree, source, allowed):
    main = type(sys)("__main__")
    space = main.__dict__
    space["__builtins__"] = curated(allowed)
    space["stdin"] = sys.stdin
    for helper in (read_text, read_bytes, write_text, write_bytes):
        space[helper.__name__] = helper
    curb_formatter(allowed)
    sys.stdout.reconfigure(line_buffering=True)
    # The frames above the code are none of its business.
    sys.modules["__main__"] = main
    try:
        exec(compile(tree, "main.py", "exec"), space)
    except SystemExit:
        raise
    except BaseException as error:
        import linecache
        import traceback

        linecache.cache["main.py"] = (len(source), None, source.splitlines(True), "main.py")
        below = error.__traceback__ and error.__traceback__.tb_next
        sys.stdout.flush()
        traceback.print_exception(type(error), error, below)
        sys.stderr.flush()
        os._exit(1)


def say(answer):
    import json

    print(json.dumps(answer))


def main():
    mode, code, imports, packages = sys.argv[1:5]
    allowed = frozenset(imports.split(","))
    with open(code, "rb") as file:
        source = file.read().decode("utf-8")
    # It is not a result of the run.
    os.unlink(code)
    try:
        tree, imports = judge(source, allowed)
    except Refused as refused:
        if mode == "run":
            sys.exit("refused: line %d %s" % (refused.line, refused.rule))
        say({"refused": {"line": refused.line, "rule": refused.rule}})
        return
    if mode == "run":
        if packages:
            sys.path.append(packages)
        run(tree, source, allowed)
    else:
        say({"imports": imports, "python": "%d.%d.%d" % sys.version_info[:3]})


main()
