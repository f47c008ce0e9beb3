"""Golden PDFs for text/pdf: written by reportlab and fpdf2, protected and repacked by qpdf (pikepdf); their words by pypdf.

Writes tests/text/golden/pdf/*.pdf and words.json: file -> a list of words for each page. Fonts: DejaVu (Debian's fonts-dejavu-core).
"""

import datetime
import json
import pathlib
import unicodedata

import fpdf
import pikepdf
import pypdf
from reportlab import rl_config
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table

FONTS = pathlib.Path("/usr/share/fonts/truetype/dejavu")
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests" / "text" / "golden" / "pdf"
LONG = ("The <b>first</b> paragraph is <i>long enough</i> to wrap over more than one line of the page, so that its text "
        "has to be put together again by whoever reads it: efficient offices, final waffles, fluffy affluent afflictions.")


def report(path):
    styles = getSampleStyleSheet()
    wide = ParagraphStyle("wide", parent=styles["Normal"], fontName="DejaVu")
    SimpleDocTemplate(str(path)).build([
        Paragraph("Quarterly report", styles["Title"]),
        Paragraph(LONG, styles["Normal"]),
        Spacer(1, 12),
        Paragraph("Grüße aus Zürich, Привет мир, Ελλάδα, €5, ﬁne ligatures", wide),
        Table([["City", "Amount"], ["Oslo", "12.50"], ["Bergen", "7"]]),
        PageBreak(),
        Paragraph("Second page", styles["Heading1"]),
        Paragraph("def f(x): return x", styles["Code"]),
    ])


def letter(path):
    pdf = fpdf.FPDF()
    pdf.set_creation_date(datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc))
    pdf.add_page()
    pdf.set_font("Helvetica", size=12)
    pdf.cell(0, 10, "Dear reader,")
    pdf.ln()
    pdf.multi_cell(0, 6, "A longer text that is wrapped over lines. " * 8, new_x="LMARGIN", new_y="NEXT")
    pdf.add_font("Serif", "", FONTS / "DejaVuSerif.ttf")
    pdf.set_font("Serif", size=14)
    pdf.multi_cell(0, 8, "Ünïcödé λ→ office affluent")
    pdf.output(str(path))


def main():
    rl_config.invariant = 1
    pdfmetrics.registerFont(TTFont("DejaVu", FONTS / "DejaVuSans.ttf"))
    FOLDER.mkdir(parents=True, exist_ok=True)
    report(FOLDER / "report.pdf")
    letter(FOLDER / "letter.pdf")
    with pikepdf.open(FOLDER / "report.pdf") as pdf:
        pdf.save(FOLDER / "packed.pdf", object_stream_mode=pikepdf.ObjectStreamMode.generate, deterministic_id=True)
        pdf.save(FOLDER / "owned.pdf", encryption=pikepdf.Encryption(user="", owner="o", R=6))
        pdf.save(FOLDER / "locked.pdf", encryption=pikepdf.Encryption(user="u", owner="o", R=6))
    words = {}
    for name in ("report", "letter", "packed", "owned"):
        pages = pypdf.PdfReader(FOLDER / f"{name}.pdf").pages
        words[f"{name}.pdf"] = [unicodedata.normalize("NFKC", page.extract_text()).split() for page in pages]
    (FOLDER / "words.json").write_text(json.dumps(words, ensure_ascii=False, indent=1) + "\n")


main()
