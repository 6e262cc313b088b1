"""Names of C++ functions as they were written: what the Itanium C++ ABI mangled (its section 5.1), as c++filt shows it.

A symbol is the text of whoever made the program, so work and output are bounded, and a name that is not understood, or
that is none, is None. The texts of types are pairs, since that of a pointer to a function goes round what it points to.
"""

from __future__ import annotations

import re

from capwrap.elf.demangle_tables import ABBREVIATIONS, BUILTIN, LITERALS, MORE_BUILTIN, OPERATORS, RUST, SPECIAL
from capwrap.elf.demangle_text import Cursor, Name, Type, Unknown, pointer_to

_SYMBOL_MAX = 4096
_HASH = re.compile(r"::h[0-9a-f]{16}\Z")
_CLONE = re.compile(r"(?:\.[A-Za-z_]+|\.[0-9]+)(?:\.[0-9]+)*")


def demangle(symbol: str) -> str | None:
    """The name as it was written, or None. Of Rust's legacy names, which are mangled so, too, without their hash."""
    text = _demangle(symbol)
    return text if text is None or _HASH.search(text) is None else _rust(text)


def _rust(text: str) -> str:
    """Undo what rustc does to characters that an assembler may not take (rustc_symbol_mangling, legacy.rs)."""
    plain = _HASH.sub("", text).replace("..", "::")
    plain = re.sub(r"(?:^|(?<=::))_(?=\$)", "", plain)
    plain = re.sub(r"\$u([0-9a-f]{2,6})\$", lambda found: chr(min(int(found[1], 16), 0x10FFFF)), plain)
    return re.sub(r"\$([A-Z]{1,2})\$", lambda found: RUST.get(found[1], found[0]), plain)


def _demangle(symbol: str) -> str | None:
    if not symbol.startswith("_Z") or len(symbol) > _SYMBOL_MAX:
        return None
    reader = _Reader(symbol)
    try:
        reader.at = 2
        text = reader.encoding()
        while reader.at < len(symbol):
            clone = _CLONE.match(symbol, reader.at)
            if clone is None:
                return None
            text += f" [clone {clone[0]}]"
            reader.at = clone.end()
    except Unknown:
        return None
    return text


class _Reader(Cursor):
    def __init__(self, symbol: str) -> None:
        super().__init__(symbol)
        self._seen: list[tuple[Type | Name | int, list[Type] | None]] = []
        """what can be substituted, a template parameter by its number; the template arguments that it was made with"""
        self._used = 0
        """how often template arguments were made use of"""
        self._arguments: list[Type] = []
        """of the template that is the function"""
        self._lambda = False
        self._packed: int | None = None
        """which element of packs is meant"""
        self._pack_size: int | None = None

    def _remember(self, what: Type | Name | int, used: int) -> None:
        self._seen.append((what, None if used == self._used else self._arguments))

    # <encoding>

    def encoding(self, returns: bool = True) -> str:
        """`returns`: with the type that a template function returns; what lies in a function is told without."""
        with self.deeper():
            return self.bounded(self._special() or self._function(returns))

    def _special(self) -> str | None:
        if self.peek(2) in ("Th", "Tv"):
            text = "non-virtual thunk to " if self.peek(2) == "Th" else "virtual thunk to "
            self.at += 1
            self._offset()
            return text + self.encoding()
        for code, (text, kind) in SPECIAL.items():
            if self.take(code):
                if kind == "type":
                    return text + str(self._type())
                if kind == "name":
                    return text + self._name(True).text
                for _ in range(kind.count("h")):
                    self._offset()
                return text + self.encoding()
        return None

    def _offset(self) -> None:
        """<call-offset>"""
        kind = self.peek()
        self.at += 1
        for _ in range({"h": 1, "v": 2}.get(kind, 0)):
            self.take("n")
            self.number()
            self.expect("_")
        if kind not in ("h", "v"):
            raise Unknown

    def _function(self, returns: bool) -> str:
        name = self._name(True)
        if self.peek() in ("", "E", "."):
            return name.text
        result = self._type() if name.template and name.plain else None
        text = f"{name.text}({self._parameters()}){name.after}"
        if result is None or not returns:
            return text
        return f"{result.left} {text}{result.right}"

    def _parameters(self) -> str:
        found: list[str] = []
        while self.peek() not in ("", "E", "."):
            found.append(self.bounded(str(self._type())))
        if found == ["void"]:
            return ""
        return self.bounded(", ".join(text for text in found if text))

    # <name>

    def _name(self, own: bool) -> Name:
        """`own`: of the function itself, whose template arguments its parameters refer to."""
        if self.peek() == "N":
            return self._nested(own)
        if self.take("Z"):
            return self._local(own)
        used = self._used
        standard = self.peek(2) == "St"
        if self.peek() == "S" and not standard:
            name = self._named(self._substitution())
        else:
            prefix = "std::" if standard and self.take("St") else ""
            simple = self._unqualified(Name("", ""))
            name = Name(prefix + simple.text, simple.last, plain=simple.plain)
            if self.peek() == "I":
                self._remember(name, used)
        if self.peek() == "I":
            name = self._with_arguments(name, own)
        return name

    def _named(self, found: Type | Name) -> Name:
        return found if isinstance(found, Name) else Name(str(found), str(found))

    def _with_arguments(self, name: Name, own: bool) -> Name:
        text = self._template_arguments(own)
        space = " " if name.text.endswith("<") else ""
        return Name(self.bounded(name.text + space + text), name.last, True, name.plain)

    def _nested(self, own: bool) -> Name:
        self.expect("N")
        after = ""
        while self.peek() in ("r", "V", "K"):
            after = {"r": " restrict", "V": " volatile", "K": " const"}[self.peek()] + after
            self.at += 1
        if self.peek() in ("R", "O"):
            after += " &" if self.take("R") else " &&" if self.take("O") else ""
        name, used = Name("", ""), self._used
        while not self.take("E"):
            new = True
            if self.peek() == "S" and self.peek(2) != "St":
                name, new = self._named(self._substitution()), False
            elif self.peek() == "I" and name.text:
                name = self._with_arguments(name, own)
            elif self.peek() == "T":
                name = self._named(self._template_parameter())
            elif self.peek(2) in ("DT", "Dt"):
                name = self._named(self._type())
                new = False
            elif self.take("St"):
                name, new = Name("std", "std"), False
            else:
                self.take("L")
                simple = self._unqualified(name)
                text = f"{name.text}::{simple.text}" if name.text else simple.text
                name = Name(self.bounded(text), simple.last, False, simple.plain)
            self.take("M")
            if new and self.peek() != "E":
                self._remember(name, used)
        if not name.text:
            raise Unknown
        return Name(name.text, name.last, name.template, name.plain, after)

    def _local(self, own: bool) -> Name:
        arguments = self._arguments
        outer = self.encoding(returns=False)
        if not own:
            self._arguments = arguments
        self.expect("E")
        if self.take("s"):
            self._discriminator()
            return Name(f"{outer}::string literal", "")
        if self.take("d"):
            number = self._sequence_or_number()
            outer += f"::{{default arg#{number}}}"
        name = self._name(own)
        self._discriminator()
        return Name(self.bounded(f"{outer}::{name.text}"), name.last, name.template, name.plain, name.after)

    def _sequence_or_number(self) -> int:
        number = self.number() + 2 if self.peek() != "_" else 1
        self.expect("_")
        return number

    def _discriminator(self) -> None:
        if self.take("__"):
            self.number()
            self.expect("_")
        elif self.peek() == "_" and self.peek(2)[1:].isdigit():
            self.at += 2

    def _unqualified(self, outer: Name) -> Name:
        self.take("L")
        first, two = self.peek(), self.peek(2)
        plain = True
        if first.isdigit():
            text = self._source()
            last = text
        elif two in ("C1", "C2", "C3", "C4", "C5", "CI") and outer.last:
            self.at += 2
            if two == "CI":
                self.at += 1
                self._type()
            text = last = outer.last
            plain = False
        elif two in ("D0", "D1", "D2", "D4", "D5") and outer.last:
            self.at += 2
            text, last, plain = f"~{outer.last}", outer.last, False
        elif two == "DC":
            self.at += 2
            names = []
            while not self.take("E"):
                names.append(self._source())
            text = last = f"[{', '.join(names)}]"
        elif self.take("Ut"):
            text = last = f"{{unnamed type#{self._sequence_or_number()}}}"
        elif self.take("Ul"):
            before, self._lambda = self._lambda, True
            parameters = self._parameters()
            self._lambda = before
            self.expect("E")
            text = last = f"{{lambda({parameters})#{self._sequence_or_number()}}}"
        elif two == "cv":
            self.at += 2
            text, plain = f"operator {self._type()}", False
            last = text
        elif two == "li":
            self.at += 2
            text = last = f'operator"" {self._source()}'
        elif two in OPERATORS:
            self.at += 2
            word = OPERATORS[two]
            text = last = f"operator {word}" if word[0].isalpha() else f"operator{word}"
        else:
            raise Unknown
        while self.take("B"):
            text += f"[abi:{self._source()}]"
        return Name(text, last, False, plain)

    def _source(self) -> str:
        length = self.number()
        text = self.peek(length)
        if not length or len(text) != length:
            raise Unknown
        self.at += length
        return "(anonymous namespace)" if text.startswith("_GLOBAL_") and text[8:10] in ("_N", ".N", "$N") else text

    # <template-args>, <substitution>

    def _template_arguments(self, own: bool) -> str:
        self.expect("I")
        found: list[Type] = []
        while not self.take("E"):
            found.append(self._argument())
        if own:
            self._arguments = found
        text = self.bounded(", ".join(shown for each in found if (shown := str(each))))
        return f"<{text} >" if text.endswith(">") else f"<{text}>"

    def _argument(self) -> Type:
        if self.peek() == "L":
            return Type(self._literal())
        if self.take("X"):
            text = self._expression()
            self.expect("E")
            return Type(text)
        if self.take("J"):
            pack: list[Type] = []
            while not self.take("E"):
                pack.append(self._argument())
            return Type("", kind="pack", pack=tuple(pack))
        return self._type()

    def _substitution(self) -> Type | Name:
        self.expect("S")
        if self.peek() in ABBREVIATIONS:
            text = ABBREVIATIONS[self.peek()]
            self.at += 1
            return Name(text, text.partition("<")[0].rpartition("::")[2])
        number = self.sequence()
        if number >= len(self._seen):
            raise Unknown
        found, arguments = self._seen[number]
        if isinstance(found, int):
            return self._parameter(found)
        if arguments is not None:
            self._used += 1
            if arguments is not self._arguments:
                raise Unknown  # of a function within, whose parameters are others
        return found

    def _template_parameter(self) -> Type:
        self.expect("T")
        return self._parameter(self.sequence())

    def _parameter(self, number: int) -> Type:
        self._used += 1
        if self._lambda:
            found = Type(f"auto:{number + 1}")
        elif number >= len(self._arguments):
            raise Unknown
        else:
            found = self._arguments[number]
        if found.kind == "pack":
            self._pack_size = len(found.pack)
            if self._packed is not None:
                if self._packed >= len(found.pack):
                    raise Unknown
                found = found.pack[self._packed]
        return found

    # <type>

    def _type(self) -> Type:
        with self.deeper():
            return self._a_type()

    def _a_type(self) -> Type:
        first, two, used = self.peek(), self.peek(2), self._used
        if first in BUILTIN:
            self.at += 1
            return Type(BUILTIN[first])
        if two in MORE_BUILTIN:
            self.at += 2
            return Type(MORE_BUILTIN[two])
        if first == "S" and two != "St":
            found = self._substitution()
            if self.peek() != "I":
                return found if isinstance(found, Type) else Type(found.text)
            made = Type(self._with_arguments(self._named(found), False).text)
        elif first == "T":
            self.at += 1
            number = self.sequence()
            made = self._parameter(number)
            self._remember(number, used)
            if self.peek() != "I":
                return made
            made = Type(self._with_arguments(self._named(made), False).text)
        elif first in ("r", "V", "K"):
            made = self._qualified()
        elif first in ("P", "R", "O"):
            self.at += 1
            made = pointer_to(self._type(), {"P": "*", "R": "&", "O": "&&"}[first])
        elif first == "F" or two in ("Do", "Dx"):
            made = self._function_type()
        elif first == "A":
            made = self._array()
        elif first == "M":
            self.at += 1
            made = self._member(str(self._type()), self._type())
        elif two == "Dp":
            made = self._expansion()
        elif two in ("DT", "Dt"):
            self.at += 2
            text = self._expression()
            self.expect("E")
            made = Type(f"decltype ({text})")
        else:
            made = Type(self._name(False).text)
        self.bounded(made.left + made.right)
        self._remember(made, used)
        return made

    def _qualified(self) -> Type:
        words = ""
        while self.peek() in ("r", "V", "K"):
            words = {"r": " restrict", "V": " volatile", "K": " const"}[self.peek()] + words
            self.at += 1
        function = self.peek() == "F" or self.peek(2) in ("Do", "Dx")
        of = self._type()
        if function:
            self._seen.pop()  # the qualifiers are of the function type itself
        if of.kind == "func":
            return Type(of.left, of.right + words, "func")
        if of.kind == "pack":
            return Type("", kind="pack", pack=tuple(Type(each.left + words, each.right) for each in of.pack))
        return Type(of.left if of.left.endswith(words) else of.left + words, of.right, of.kind)

    def _function_type(self) -> Type:
        noexcept = " noexcept" if self.take("Do") else ""
        self.take("Dx")
        self.expect("F")
        self.take("Y")
        result = self._type()
        parameters: list[str] = []
        after = ""
        while not self.take("E"):
            if self.peek(2) in ("RE", "OE"):
                after = " &" if self.take("R") else " &&" if self.take("O") else ""
                continue
            parameters.append(self.bounded(str(self._type())))
        inner = "" if parameters == ["void"] else ", ".join(text for text in parameters if text)
        return Type(result.left, f"({inner}){after}{noexcept}{result.right}", "func")

    def _array(self) -> Type:
        self.expect("A")
        size = ""
        if self.peek().isdigit():
            size = str(self.number())
        elif self.peek() != "_":
            size = self._expression()
        self.expect("_")
        of = self._type()
        inner = of.right if of.kind == "array" else f" {of.right}" if of.right else ""
        return Type(of.left, f" [{size}]{inner.lstrip() if of.kind == 'array' else inner}", "array")

    def _member(self, owner: str, of: Type) -> Type:
        if of.kind == "func":
            return Type(f"{of.left} ({owner}::*", f"){of.right}")
        return Type(f"{of.left} {owner}::*", of.right)

    def _pattern(self) -> tuple[Type, int | None]:
        """A type, and how many elements the packs in it have, if there are any."""
        self._pack_size = None
        return self._type(), self._pack_size

    def _expansion(self) -> Type:
        """Dp: the type for each element of the packs in it."""
        self.at += 2
        start, seen, outer = self.at, len(self._seen), (self._packed, self._pack_size)
        self._packed = None
        whole, size = self._pattern()
        end = self.at
        made: list[Type] = []
        for index in range(size or 0):
            self.at = start
            del self._seen[seen:]
            self._packed = index
            made.append(self._type())
        self.at = end
        self._packed, self._pack_size = outer
        if size is None:
            return Type(f"{whole}...")
        return Type("", kind="pack", pack=tuple(made))

    # <expression>, <expr-primary>

    def _literal(self) -> str:
        self.expect("L")
        if self.take("_Z"):
            arguments = self._arguments
            text = self.encoding()
            self._arguments = arguments
            self.expect("E")
            return text
        kind = str(self._type())
        end = self.symbol.find("E", self.at)
        if end < 0:
            raise Unknown
        value = self.symbol[self.at : end]
        self.at = end + 1
        value = "-" + value[1:] if value.startswith("n") else value
        if kind == "bool" and value in ("0", "1"):
            return ("false", "true")[int(value)]
        if kind in LITERALS:
            return value + LITERALS[kind]
        return f"({kind}){value}"

    def _simple(self) -> str:
        """A name in an expression, with its template arguments."""
        name = self._unqualified(Name("", ""))
        return self._with_arguments(name, False).text if self.peek() == "I" else name.text

    def _expression(self) -> str:
        with self.deeper():
            return self.bounded(self._an_expression())

    def _an_expression(self) -> str:
        two = self.peek(2)
        if two[:1] == "L":
            return self._literal()
        if two[:1] == "T":
            return str(self._template_parameter())
        if two == "sZ":
            self.at += 2
            found = self._template_parameter()
            return str(len(found.pack)) if found.kind == "pack" else f"sizeof...({found})"
        if two == "sr":
            self.at += 2
            several = self.take("N") or self.peek().isdigit()
            levels = [] if self.peek().isdigit() else [str(self._type())]
            while several and not self.take("E"):
                levels.append(self._simple())
            return "::".join([*levels, self._simple()])
        if two == "st":
            self.at += 2
            return f"sizeof ({self._type()})"
        if two == "ad":
            self.at += 2
            text = self._expression()
            return f"&({text})" if text.endswith(")") else f"&{text}"
        if two in ("nt", "ng", "co", "de"):
            self.at += 2
            return f"{OPERATORS[two]}({self._expression()})"
        if two in OPERATORS and two not in ("nw", "na", "dl", "da", "cl", "ix", "qu", "pp", "mm", "pt", "pm"):
            self.at += 2
            left, right = self._expression(), self._expression()
            text = f"({left}){OPERATORS[two]}({right})"
            return f"({text})" if two == "gt" else text
        raise Unknown
