"""First names that most readers take for a man's or a woman's."""

MEN = """
Aaron Adam Alan Andrew Anthony Arthur Ben Brian Carl Charles Daniel David Dennis Donald Edward Eric
Francis Frank Fred Gary George Graham Greg Harold Harry Henry Howard Jack Jacob James Jason Jeff
Jeremy Jim Joe John Jonathan Joseph Joshua Justin Keith Kenneth Kevin Larry Louis Luke Mark Martin
Matthew Michael Nathan Nick Oliver Patrick Paul Peter Philip Ralph Richard Robert Roger Ronald Roy
Russell Ryan Samuel Scott Sean Simon Stephen Steve Steven Stuart Thomas Tim Tom Tony Victor Walter
William
"""

WOMEN = """
Alice Amanda Amber Amy Andrea Angela Anna Anne Barbara Bella Beth Betty Carol Caroline Catherine
Charlotte Christina Christine Claire Clara Deborah Diana Donna Dorothy Elena Elizabeth Ellen Emily
Emma Erica Eva Fiona Gloria Hannah Heather Helen Irene Jane Janet Jennifer Jessica Joan Joyce Judith
Julia Julie Karen Kate Katherine Kathleen Laura Lauren Linda Lisa Lucy Margaret Maria Marie Martha
Mary Megan Melissa Michelle Monica Nancy Natalie Nicole Nina Olivia Pamela Patricia Rachel Rebecca
Rita Ruth Sally Samantha Sandra Sara Sarah Sharon Sophia Sophie Stephanie Susan Sylvia Teresa Tina
Vanessa Victoria Virginia Wendy
"""
