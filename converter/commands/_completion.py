"""A shell's script that completes a program's commands, options and choices by itself."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping

_BASH = """\
_{name}() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words=
  [ "$before" = = ] && before=${{COMP_WORDS[COMP_CWORD-2]}}
  [ "$word" = = ] && before=${{COMP_WORDS[COMP_CWORD-1]}} word=
  if [ "$COMP_CWORD" -eq 1 ]; then
    words={commands}
  else
    case "${{COMP_WORDS[1]}} $before" in
{values}
      *)
        case "${{COMP_WORDS[1]}}" in
{options}
        esac ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _{name} {name}
"""


def bash(name: str, parsers: Mapping[str, ArgumentParser]) -> str:
    """Return the script for bash: what it has no word for is a file."""
    values, options = [], []
    for command, parser in parsers.items():
        plain: list[str] = []
        for action in parser._actions:
            choices = [str(one) for one in action.choices or ()]
            if not action.option_strings:
                plain += choices
            elif choices:
                asked = (shlex.quote(f"{command} {option}") for option in action.option_strings)
                values.append(f"      {'|'.join(asked)}) words={_quoted(choices)} ;;")
        flags = [option for action in parser._actions for option in action.option_strings]
        words = f"case $word in -*) words={_quoted(flags)} ;; *) words={_quoted(plain)} ;; esac"
        options.append(f"          {command}) {words} ;;")
    commands = _quoted([*parsers, "--help", "--version"])
    return _BASH.format(
        name=name, commands=commands, values="\n".join(values), options="\n".join(options)
    )


def _quoted(words: Iterable[str]) -> str:
    return shlex.quote(" ".join(words))
