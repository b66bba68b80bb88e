"""Who started a run, and who answers: names as the installation knows them.

On the command line a name is what a person says of themselves; the account beside it is what the
operating system knows, and four eyes there rest on accounts. Under a server both come from its own
login.
"""

import os
import pwd
import unicodedata

# What Airflow calls the person behind a run in this very process: nobody it knows.
IN_PROCESS = "dag_test"
# Who is no person, in the form that names are compared in.
RESERVED = frozenset({"gate", "none", "nobody", "system"})
# Small Cyrillic, then Greek letters that are drawn as a Latin one, small or great.
DRAWN_AS_LATIN = str.maketrans(
    "авеһіјкԛмнорѕстухԁԝ" + "αβεηικμνορτυχγω",
    "abehijkqmhopsctyxdw" + "abehikmnoptuxyw",
)
# Letters that show nothing: fillers of Hangul. They are of no format category.
UNSEEN = frozenset("\u115f\u1160\u3164\uffa0")
# Scripts that one name is written in together: those of Japanese, and of Korean.
TOGETHER = (frozenset({"CJK", "HIRAGANA", "KATAKANA"}), frozenset({"CJK", "HANGUL"}))


def local_account() -> str:
    """The operating system's name of who runs this process; no environment variable decides it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # A container may give a user id that no name belongs to.
        return f"user {os.getuid()}"


def local_person() -> str:
    """``EQUIPOISE_PERSON`` where accounts are shared, else the account."""
    return os.environ.get("EQUIPOISE_PERSON", "").strip() or local_account()


def starter(airflow_user: str) -> str:
    """Who started a flow: the person whom Airflow names, or whoever runs this process."""
    return local_person() if airflow_user in ("", IN_PROCESS) else airflow_user


def starter_account(airflow_user: str) -> str | None:
    """The operating system's account behind a flow; None where Airflow's login started it."""
    return local_account() if airflow_user in ("", IN_PROCESS) else None


def is_same_person(one: str, other: str) -> bool:
    """Whether two names are of one person: case, spaces, points, letters that are drawn alike and
    signs that nobody sees make nobody another one."""
    return _plain(one) == _plain(other)


def no_person(name: str) -> str | None:
    """Why a name is not one of a person who can answer; None if it is."""
    plain = _plain(name)
    if not any(character.isalnum() for character in plain):
        return "an answer needs a reason and the name of a person"
    if plain in RESERVED:
        return "the gate answers for itself alone, and nobody answers as the system"
    if len(scripts := _scripts(name)) > 1 and not any(scripts <= each for each in TOGETHER):
        return "a name is written in the letters of one script"
    return None


def shown_name(name: str) -> str:
    """A name as it is written down: without signs that nobody sees, single spaces."""
    seen = (" " if char.isspace() else char for char in unicodedata.normalize("NFKC", name))
    return " ".join("".join(char for char in seen if _is_seen(char)).split())


def _plain(name: str) -> str:
    """The form that names are compared in."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    kept = (
        char for char in folded if _is_seen(char) and unicodedata.category(char)[0] not in "PZS"
    )
    return "".join(kept).translate(DRAWN_AS_LATIN)


def _is_seen(character: str) -> bool:
    # Marks that choose a letter's shape have a name of their own and change no letter.
    named = unicodedata.name(character, "")
    is_shape = "VARIATION SELECTOR" in named or named == "COMBINING GRAPHEME JOINER"
    return not (unicodedata.category(character)[0] == "C" or character in UNSEEN or is_shape)


def _scripts(name: str) -> frozenset[str]:
    """The scripts of a name's letters, each by the first word of its letters' names."""
    letters = (char for char in unicodedata.normalize("NFKC", name) if char.isalpha())
    return frozenset(
        unicodedata.name(char, "UNKNOWN").split()[0]
        for char in letters
        if unicodedata.category(char) != "Lm"
    )
