"""
What texts are taken for, next to what two tokenizers in use make of them.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aibridge.dialects.weight import BEFORE, PER_TOKEN, weight_of

KNOWN = [
    (
        "english",
        72,
        72,
        "The bridge stands between the people who ask and the providers that answer. It knows w"
        "ho asks, decides whether the request may go now, relays it with the provider's key, st"
        "reams the answer back byte for byte, and records who used what. Nothing that one calle"
        "r does wrong may cost another caller anything; that is the rule from which everything "
        "else follows.",
    ),
    (
        "python",
        75,
        75,
        'def estimated(body: bytes) -> int:\n    """\n    Tokens of a request.\n    """\n    to'
        'tal = 0\n    for index, piece in enumerate(body.split(b"\\n")):\n        if piece.star'
        'tswith(b"#") and index > 0:\n            continue\n        total += -(-len(piece) // 4'
        ")\n    return min(total, MOST_INPUT)\n",
    ),
    (
        "typescript",
        86,
        85,
        "export async function fetchUser(id: string, opts?: RequestInit): Promise<User | null> "
        "{\n  const res = await fetch(`${BASE_URL}/users/${encodeURIComponent(id)}`, { ...opts,"
        " headers: { 'content-type': 'application/json' } });\n  if (!res.ok) {\n    throw new "
        "HttpError(res.status, await res.text());\n  }\n  return (await res.json()) as User;\n}"
        "\n",
    ),
    (
        "json",
        63,
        62,
        '{"file_path":"/home/user/project/src/components/Button.tsx","old_string":"const x = 1;'
        '","new_string":"const x = 2;","replace_all":false,"line_numbers":[12,13,14,200],"optio'
        'ns":{"dry_run":true,"timeout_ms":30000}}',
    ),
    (
        "chinese",
        85,
        116,
        "网桥位于提问的人和回答的模型提供商之间。它知道谁在提问,决定请求现在是否可以通过,用提"
        "供商的密钥转发请求,逐字节地把回答流式传回,并记录谁使用了什么。一个调用者的错误不应该"
        "让另一个调用者付出任何代价,这是其他一切规则的出发点。",
    ),
    (
        "japanese",
        90,
        115,
        "このブリッジは、質問する人と回答するプロバイダーの間に立っています。誰が尋ねているかを"
        "知り、今リクエストを送ってよいかどうかを判断し、プロバイダーの鍵を使って中継し、回答を"
        "そのまま一バイトずつ返し、誰が何を使ったかを記録します。",
    ),
    (
        "korean",
        69,
        118,
        "이 브리지는 질문하는 사람과 대답하는 제공자 사이에 있습니다. 누가 묻는지 알"
        "고, 지금 요청을 보내도 되는지 결정하고, 제공자의 키로 요청을 전달하며, 답"
        "변을 바이트 단위로 그대로 돌려주고, 누가 무엇을 사용했는지 기록합니다.",
    ),
    (
        "arabic",
        62,
        149,
        "يقف الجسر بين الأشخاص الذين يسألون ومقدمي الخدمة الذين يجيبون. إنه يعرف من يسأل، ويقرر"
        " ما إذا كان يمكن إرسال الطلب الآن، وينقل الطلب باستخدام مفتاح المزود، ويعيد الإجابة با"
        "يتا بعد بايت، ويسجل من استخدم ماذا.",
    ),
    (
        "russian",
        67,
        105,
        "Мост стоит между людьми, которые задают вопросы, и поставщиками, которые на них отвеча"
        "ют. Он знает, кто спрашивает, решает, можно ли отправить запрос сейчас, передаёт его с"
        " ключом поставщика, возвращает ответ байт за байтом и записывает, кто и что использова"
        "л.",
    ),
    (
        "greek",
        66,
        167,
        "Η γέφυρα βρίσκεται ανάμεσα στους ανθρώπους που ρωτούν και στους παρόχους που απαντούν."
        " Γνωρίζει ποιος ρωτά, αποφασίζει αν το αίτημα μπορεί να προχωρήσει τώρα και το μεταδίδ"
        "ει με το κλειδί του παρόχου.",
    ),
    (
        "hebrew",
        47,
        126,
        "הגשר עומד בין האנשים ששואלים לבין הספקים שעונים. הוא יודע מי שואל, מחליט אם הבקשה יכול"
        "ה לעבור עכשיו, ומעביר אותה עם המפתח של הספק.",
    ),
    (
        "german",
        48,
        59,
        "Die Brücke steht zwischen den Menschen, die fragen, und den Anbietern, die antworten. "
        "Sie weiß, wer fragt, entscheidet, ob die Anfrage jetzt gehen darf, und leitet sie mit "
        "dem Schlüssel des Anbieters weiter.",
    ),
    (
        "emoji",
        64,
        95,
        "😀😃😄😁😆😅🤣😂🙂🙃😉😊😇🥰😍🤩😘😗😚😙👍🏽👩‍💻👨‍👩‍👧‍👦🚀🔥✅❌⚠️📦🧪",
    ),
    (
        "base64",
        176,
        182,
        "H0D8ktokFpR1CXnubPWC8tXX0o4YM13gWrxU0FYOD1MChgxlK/CNVgJSql50IQVG82n7u86MEs/HlXsmUv6adQ"
        "==Umd2iCLuYk1I/OFexcp5y9YCy39MIVelFlVpkfIu+Me173sY0f9BxZNw77CFhlHUSpNsEbexRMSP4E3zxqPo"
        "2g==rMKNsr63tCuqHLAkPUAcy04/zkTXsCh5pSeZqt/1QVItiCJZiy+mZPnVFWwAySSAXXXDhovVbCrLgdN+mO"
        "Na3A==",
    ),
    (
        "hex",
        145,
        143,
        "1f40fc92da241694750979ee6cf582f2d5d7d28e18335de05abc54d0560e0f5302860c652bf08d560252aa"
        "5e74210546f369fbbbce8c12cfc7957b2652fe9a755267768822ee624d48fce15ec5ca79cbd602cb7f4c21"
        "57a516556991f22ef8c7b5ef7b18d1ff41c59370efb0858651d44a936c11b7b144c48fe04df3c6a3e8da",
    ),
    (
        "digits",
        274,
        274,
        "1.8571, 1133.1429, 2264.4286, 3395.7143, 4527.0000, 5658.2857, 6789.5714, 7920.8571, 9"
        "052.1429, 10183.4286, 11314.7143, 12446.0000, 13577.2857, 422.4286, 1553.7143, 2685.00"
        "00, 3816.2857, 4947.5714, 6078.8571, 7210.1429, 8341.4286, 9472.7143, 10604.0000, 1173"
        "5.2857, 12866.5714, 13997.8571, 843.0000, 1974.2857, 3105.5714, 4236.8571, 5368.1429, "
        "6499.4286, 7630.7143, 8762.0000, 9893.2857, 11024.5714, 12155.8571, 13287.1429, 132.28"
        "57, 1263.5714",
    ),
    (
        "indented",
        23,
        23,
        "                        </div>\n                    </div>\n                </section>"
        "\n            </main>\n        </body>\n</html>\n",
    ),
]
"""
A kind of text, its tokens by ``o200k_base``, with which OpenAI's models have come since 2024, by ``cl100k_base``, which
was theirs before and makes more of most scripts, as others' do, and the text.
"""


def tokens(text: str, *, ascii: bool) -> float:
    """
    What it is taken for.
    """
    return weight_of(json.dumps(text, ensure_ascii=ascii)[1:-1].encode()) / PER_TOKEN


@pytest.mark.parametrize(("new", "old", "text"), [known[1:] for known in KNOWN], ids=[known[0] for known in KNOWN])
def test_texts_are_taken_for_what_they_are(new: int, old: int, text: str) -> None:
    """
    Within a factor of two, in UTF-8 by either, and with all else than ASCII escaped by the newer.
    """
    assert new / 2 <= tokens(text, ascii=False) <= new * 2
    assert old / 2 <= tokens(text, ascii=False) <= old * 2
    assert new / 2 <= tokens(text, ascii=True) <= new * 2


PIECES = [b"\\", b"u", b"0", b"4", b"e", b"A", b" ", "ж".encode(), "😀".encode()]


@given(
    st.lists(st.sampled_from(PIECES), max_size=40),
    st.data(),
)
def test_it_does_not_matter_how_a_text_is_cut(parts: list[bytes], data: st.DataObject) -> None:
    """
    Not even within an escape or a character.
    """
    text = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    total, seen = 0, b""
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        total += weight_of(text[begin:end], seen[-BEFORE:])
        seen += text[begin:end]
    assert total == weight_of(text)


@pytest.mark.parametrize("text", [b"", b"\\u", b"\\u0", b"\\u0441" * 100, b"\\" * 100, b"\\n" * 9])
def test_nothing_weighs_less_than_nothing_by_much(text: bytes) -> None:
    """
    Half an escape may, by what its other half weighs.
    """
    assert weight_of(text) >= (-6 if len(text) < 4 else 0)
