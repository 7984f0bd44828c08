"""The languages that tokenizers name, in the order of their ids; as transformers lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attnviz.errors import AttnvizError
from attnviz.models.tokenizers.settings import Settings, Token

MANY = 12
"""Languages that a hint lists."""


def _codes(text: str) -> tuple[str, ...]:
    return tuple(text.split())


MBART50 = _codes(
    """
    ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ ko_KR lt_LT
    lv_LV my_MM ne_NP nl_XX ro_RO ru_RU si_LK tr_TR vi_VN zh_CN af_ZA az_AZ bn_IN fa_IR he_IL
    hr_HR id_ID ka_GE km_KH mk_MK ml_IN mn_MN mr_IN pl_PL ps_AF pt_XX sv_SE sw_KE ta_IN te_IN
    th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES sl_SI
    """
)
MBART = MBART50[:25]

NLLB = _codes(
    """
    ace_Arab ace_Latn acm_Arab acq_Arab aeb_Arab afr_Latn ajp_Arab aka_Latn amh_Ethi apc_Arab
    arb_Arab ars_Arab ary_Arab arz_Arab asm_Beng ast_Latn awa_Deva ayr_Latn azb_Arab azj_Latn
    bak_Cyrl bam_Latn ban_Latn bel_Cyrl bem_Latn ben_Beng bho_Deva bjn_Arab bjn_Latn bod_Tibt
    bos_Latn bug_Latn bul_Cyrl cat_Latn ceb_Latn ces_Latn cjk_Latn ckb_Arab crh_Latn cym_Latn
    dan_Latn deu_Latn dik_Latn dyu_Latn dzo_Tibt ell_Grek eng_Latn epo_Latn est_Latn eus_Latn
    ewe_Latn fao_Latn pes_Arab fij_Latn fin_Latn fon_Latn fra_Latn fur_Latn fuv_Latn gla_Latn
    gle_Latn glg_Latn grn_Latn guj_Gujr hat_Latn hau_Latn heb_Hebr hin_Deva hne_Deva hrv_Latn
    hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn jav_Latn jpn_Jpan kab_Latn
    kac_Latn kam_Latn kan_Knda kas_Arab kas_Deva kat_Geor knc_Arab knc_Latn kaz_Cyrl kbp_Latn
    kea_Latn khm_Khmr kik_Latn kin_Latn kir_Cyrl kmb_Latn kon_Latn kor_Hang kmr_Latn lao_Laoo
    lvs_Latn lij_Latn lim_Latn lin_Latn lit_Latn lmo_Latn ltg_Latn ltz_Latn lua_Latn lug_Latn
    luo_Latn lus_Latn mag_Deva mai_Deva mal_Mlym mar_Deva min_Latn mkd_Cyrl plt_Latn mlt_Latn
    mni_Beng khk_Cyrl mos_Latn mri_Latn zsm_Latn mya_Mymr nld_Latn nno_Latn nob_Latn npi_Deva
    nso_Latn nus_Latn nya_Latn oci_Latn gaz_Latn ory_Orya pag_Latn pan_Guru pap_Latn pol_Latn
    por_Latn prs_Arab pbt_Arab quy_Latn ron_Latn run_Latn rus_Cyrl sag_Latn san_Deva sat_Beng
    scn_Latn shn_Mymr sin_Sinh slk_Latn slv_Latn smo_Latn sna_Latn snd_Arab som_Latn sot_Latn
    spa_Latn als_Latn srd_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn szl_Latn tam_Taml
    tat_Cyrl tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi taq_Latn taq_Tfng tpi_Latn tsn_Latn
    tso_Latn tuk_Latn tum_Latn tur_Latn twi_Latn tzm_Tfng uig_Arab ukr_Cyrl umb_Latn urd_Arab
    uzn_Latn vec_Latn vie_Latn war_Latn wol_Latn xho_Latn ydd_Hebr yor_Latn yue_Hant zho_Hans
    zho_Hant zul_Latn
    """
)

M2M100 = {
    "m2m100": _codes(
        """
    af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha
    he hi hr ht hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my
    ne nl no ns oc or pa pl ps pt ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk ur uz
    vi wo xh yi yo zh zu
    """
    ),
    "wmt21": _codes("en ha is ja cs ru zh de"),
}
"""By the setting `language_codes`."""

_WHISPER = _codes(
    """
    english:en chinese:zh german:de spanish:es russian:ru korean:ko french:fr japanese:ja
    portuguese:pt turkish:tr polish:pl catalan:ca dutch:nl arabic:ar swedish:sv italian:it
    indonesian:id hindi:hi finnish:fi vietnamese:vi hebrew:he ukrainian:uk greek:el malay:ms
    czech:cs romanian:ro danish:da hungarian:hu tamil:ta norwegian:no thai:th urdu:ur croatian:hr
    bulgarian:bg lithuanian:lt latin:la maori:mi malayalam:ml welsh:cy slovak:sk telugu:te
    persian:fa latvian:lv bengali:bn serbian:sr azerbaijani:az slovenian:sl kannada:kn estonian:et
    macedonian:mk breton:br basque:eu icelandic:is armenian:hy nepali:ne mongolian:mn bosnian:bs
    kazakh:kk albanian:sq swahili:sw galician:gl marathi:mr punjabi:pa sinhala:si khmer:km
    shona:sn yoruba:yo somali:so afrikaans:af occitan:oc georgian:ka belarusian:be tajik:tg
    sindhi:sd gujarati:gu amharic:am yiddish:yi lao:lo uzbek:uz faroese:fo haitian_creole:ht
    pashto:ps turkmen:tk nynorsk:nn maltese:mt sanskrit:sa luxembourgish:lb myanmar:my tibetan:bo
    tagalog:tl malagasy:mg assamese:as tatar:tt hawaiian:haw lingala:ln hausa:ha bashkir:ba
    javanese:jw sundanese:su cantonese:yue burmese:my valencian:ca flemish:nl haitian:ht
    letzeburgesch:lb pushto:ps panjabi:pa moldavian:ro moldovan:ro sinhalese:si castilian:es
    mandarin:zh
    """
)
WHISPER = {
    name.replace("_", " "): code for name, _, code in (entry.partition(":") for entry in _WHISPER)
}
"""Codes of languages by their English names."""


def language_of(
    backend: Any, settings: Settings, special: Mapping[str, Token | None], default: str
) -> tuple[str, int]:
    """The language that a text is in, with its id: the unknown token's where there is none."""
    code = settings.text("src_lang") or default
    id = backend.token_to_id(code)
    unknown = special.get("unk_token")
    if id is None and unknown is not None:
        id = backend.token_to_id(unknown.content)
    return code, 0 if id is None else id


def no_language(where: str | Path, code: str, codes: Sequence[str]) -> AttnvizError:
    """That a language is not one of a tokenizer's, with those that it may be."""
    if not codes:
        return AttnvizError(
            f"{where} has no language {code!r:.60}, nor any other",
            "tokenizer_config.json lists them as additional_special_tokens: download it again",
        )
    alike = [each for each in codes if each[:2] == code[:2].lower()] or list(codes)
    hint = " ".join(alike[:MANY]) + (f" … ({len(codes)} languages)" if len(alike) > MANY else "")
    return AttnvizError(f"{where} has no language {code!r:.60}", hint)
