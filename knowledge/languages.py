"""Which language a text is in: by its script, and in Latin script by its commonest words. Pure.

Only languages that the stemmer knows. A wrong guess costs a little: texts are only found by words
in the very same form then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ENGLISH: Final = "english"
"""Where nothing else is known: names, figures, single words."""

_STOP_WORDS: Final = {
    "english": """
a an and are as at be but by for from had has have he her his i if in into is it its no not of on
or s she so such t than that the their them then there these they this to was we were what when
which who will with you
""",
    "german": """
aber alle als also am an auch auf aus bei beim bin bis da damit dann das dass dem den der des die
dies diese diesem diesen dieser dieses doch du durch ein eine einem einen einer eines er es für
gegen hat hatte haben ich ihm ihr ihre ihren im in ins ist ja kann kein keine man mit muss nach
nicht noch nur ob oder ohne sein seine sich sie sind so über um und uns unter vom von vor war waren
was weil welche welchem welchen welcher welches wenn wer werden wie wird wir wo wurde wurden zu zum
zur zwischen
""",
    "spanish": """
a al algo ante como con cual cuál cuáles cuando cuándo cuánto cuántos de del desde donde dónde
durante el él ella ellos en entre era es esta está estaba este esto estos fue fueron ha había han
hasta hay la las le les lo los más me mi muy ni no nos o para pero por porque que qué quien quién se
según ser si sí sin sobre son su sus también tan te tiene tienen un una uno unos y ya yo
""",
    "french": """
à au aux avec c ce ces cette d dans de des du elle elles en est et était été eux il ils j je l la
le les leur leurs lui m mais me même n ne nos notre nous on ont ou où par pas plus pour qu quand
que quel quelle quels qui s sa sans se ses son sont sous sur t tu un une vos votre vous y
""",
    "italian": """
a agli ai al alla alle anche che chi ci come con cosa da dagli dai dal dalla dei del della delle
dello di dove e è era erano gli ha hanno i il in io l la le lo loro ma nei nel nella nelle non o
per più quale quali quando quanto quanti questa questo se si sono su sua sue sul sulla suo tra un
una uno
""",
    "portuguese": """
a ao aos as às com como da das de do dos e é ela elas ele eles em entre era essa esse esta está
este foi foram há isso já mais mas me na não nas nem no nos o onde os ou para pela pelo por porque
qual quais quando quanto quantos que quem se sem ser seu seus são sua suas também tem têm um uma
umas uns você
""",
    "dutch": """
aan al als bij dan dat de der deze die dit door een en er geen had heb heeft het hij hoe hun ik in
is je kan maar me met mijn naar niet nog nu of om onder ons ook op over te tot uit van veel voor
waar was wat we welke werd werden wie wij wordt worden zal ze zich zij zijn zo zonder
""",
    "swedish": """
att av blev bli de den det där detta dig din du efter ej eller en er ett för från ha hade han har
hon hur hos i icke inte jag kan man med men mig min mot mycket när någon något och om oss på sedan
sig sin sina som så till under upp ut utan vad var varför vem vid vilka vilken vilket är över
""",
    "danish": """
af alle at blev bliver da de deg dem den denne der deres det dette dig din du efter eller en er et
for fra få ham han hans har havde hende hun hvad hvem hvilke hvilken hvis hvor hvordan hvornår i
ikke ind jeg kan man med meget men mig min mod ned nogle noget nu når og også om op os over på
sig sin skal skulle som til ud under var ved vi vil være været
""",
    "norwegian": """
at av ble bli blir da de dem den denne der deres det dette du eller en er et etter for fra få ham
han hans har hadde hun hva hvem hvilke hvilken hvis hvor hvordan i ikke inn jeg kan man med meg
men mot må ned noe noen nå når og også om opp oss over på seg sin skal skulle som til ut under var
ved vi vil være vært
""",
    "finnish": """
ei eivät ei että he hän ja jo joka jos jotka kanssa kuin kuinka kun me mikä missä mitä mitkä mutta
myös ne ni niin nyt oli olivat olla on onko ovat se sen siitä sillä tai tämä tässä vain
""",
    "polish": """
ale był była było były być co czy dla do gdy gdzie i ich ile jak jaki jakie jako jest jego jej już
kiedy kto która które który lub ma może na nad nie niż o od oraz po pod przed przez przy się są
ta tak także tej ten tego to tu tylko tym u w we więc z za ze został że
""",
    "czech": """
a aby ale ani až bez bude by byl byla bylo byly být co do i jak jaká jaké jako je jeho její jen
jsou již k kde kdo kdy která které který ke kolik mezi má na nad ne nebo není o od po pod pro
proto před při s se si tak také tento to ten tím u v ve však z za ze že
""",
    "hungarian": """
a az amely amelyek ami és egy ez ezek ezt hogy hogyan hol is itt ki kell két lehet már meg mely
melyik mennyi mert mi mikor milyen mint nem nincs ott pedig sem szerint után van vagy volt voltak
""",
    "romanian": """
a ai al ale am ar are au ca care cât câți ce cea cei cel cele cine cu cum de din după este ei el
fi fost în într însă îl la le lor lui mai nu o pe pentru prin sa sau să se sunt și și-a său un unde
unei unui
""",
    "turkish": """
ama bir birçok bu çok da daha de değil diye en gibi hangi hem için ile ise kaç kadar ki kim mi mı
mu mü nasıl ne neden nerede olan olarak oldu olduğu olup sonra şu tarafından ve veya ya
""",
    "russian": """
а без более бы был была были было быть в вам вас весь во вот все всего вы где да для до его ее если
есть еще же за здесь и из или им их к как какая какие какой какого каким какую когда который
которая которые которых кто ли либо мне может мы на над надо нам не него нее нет ни них но о об
однако он она они оно от по под после при про с сколько со так также такой там то того тоже только
том ты у уже чем что чего чтобы эта эти это этого этой этом этот я
""",
    "arabic": """
في من على إلى الى عن مع هو هي هم هذا هذه ذلك تلك التي الذي الذين ما ماذا متى أين كيف كم هل لا لم لن
ان أن إن كان كانت يكون قد و أو او ثم حتى بعد قبل بين عند كل أي اي أية غير كما لكن منذ مما فيه فيها
به بها له لها لهم عليه عليها منه منها عنه عنها إليه إليها
""",
}

STOP_WORDS: Final = {name: frozenset(words.split()) for name, words in _STOP_WORDS.items()}
_NONE: Final = frozenset[str]()
_ALSO_ENGLISH: Final = """
about after also any been between can could did do does during how its many may more most much other
our should some through under up used using would you your
"""
"""Words that tell English from other languages, but may carry meaning."""
_DOUBTFUL: Final = """
a ale alle also am an as at avec be bin bit bring but by comes con dan dans dare data dem den der
die do dot due e el en era et fin for fra from ha had hat he her him his hon hun i id il in is its
ja kan kun la las le les lo long los man marks max me men mi min more most my ne no non nor not
note nu o of on one or os over par per plus pod pour pro que sans se she si sin so some son sub sun
sur tan te that the to ton tot tu under us van var ved vi via von war was wat we were you
"""
"""Words that also stand in English texts, some in names: they tell half as much of others."""
_SURE = 2
_LAST_LATIN: Final = "\u024f"
_SCRIPTS: Final = (  # first and last letter, whose words the stemmer knows
    ("a", _LAST_LATIN, "latin"),
    ("\u0370", "\u03ff", "greek"),
    ("\u0400", "\u052f", "russian"),
    ("\u0530", "\u058f", "armenian"),
    ("\u0600", "\u06ff", "arabic"),
    ("\u0900", "\u097f", "hindi"),
    ("\u0b80", "\u0bff", "tamil"),
    ("\u1e00", "\u1eff", "latin"),
)
_OTHERS: Final = frozenset("іїєґўјљњћђџѓќپچژگکیےٹڈڑں")
"""Letters of other languages in the same scripts: Ukrainian, Serbian …; Persian, Urdu."""
_OPTIONAL_MARKS: Final = (
    ("\u0000", "\u03ff"), ("\u0590", "\u06ff"), ("\u1e00", "\u1fff"),
)  # fmt: skip
"""Latin, Greek, Hebrew, Arabic; elsewhere marks are letters."""
LATIN: Final = tuple(name for name in STOP_WORDS if name not in ("russian", "arabic"))


def spoken(words: Sequence[str]) -> str:
    """Return the language of the words in Latin letters of a text, by its case-folded words.

    English where these are few beside those of other scripts, and where no word tells.

    >>> spoken("wie hoch ist der berg".split())
    'german'
    >>> spoken(["invoice"])
    'english'
    """
    counts = dict.fromkeys(LATIN, 0)
    latin = 0
    for word in words:
        latin += word[0] <= _LAST_LATIN
        for name, weight in _TELLING.get(word, ()):
            counts[name] += weight
    likeliest = max(counts, key=counts.__getitem__)  # the first of equals, which is English
    return likeliest if counts[likeliest] >= _SURE and 2 * latin >= len(words) else ENGLISH


def of_word(word: str, latin: str) -> str:
    """Return the language of a word by its script; `latin` is that of words in Latin letters.

    Empty where the stemmer knows none.
    """
    if word.isascii():
        return latin
    if not _OTHERS.isdisjoint(word):
        return ""
    for low, high, name in _SCRIPTS:
        if low <= word[0] <= high:
            return latin if name == "latin" else name
    return ""


def says_little(word: str, language: str) -> bool:
    """Say whether a word is one of the commonest of its language."""
    return word in STOP_WORDS.get(language, _NONE)


def marks_are_optional(word: str) -> bool:
    """Say whether people leave accents or vowel marks out in the script of `word`."""
    return any(low <= word[0] <= high for low, high in _OPTIONAL_MARKS)


def _telling() -> dict[str, list[tuple[str, int]]]:
    """Return for each word the languages that it tells of, and how much it weighs."""
    doubtful = frozenset(_DOUBTFUL.split())
    found = {word: [(ENGLISH, _SURE)] for word in (*STOP_WORDS[ENGLISH], *_ALSO_ENGLISH.split())}
    for name in LATIN[1:]:
        for word in STOP_WORDS[name]:
            weight = _SURE // 2 if word in doubtful else _SURE
            found.setdefault(word, []).append((name, weight))
    return found


_TELLING: Final = _telling()
